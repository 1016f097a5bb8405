"""Each question that people ask has an answer in the documents, and something that holds it: a test, a check."""

import re
from pathlib import Path

import pytest

from provider_kit.doctor.examine import ORDER

ROOT = Path(__file__).parents[2]
SNIPPETS = "tests/docs/test_snippets.py::test_the_python_of_a_page_runs"
YAML = "tests/docs/test_snippets.py::test_the_yaml_of_the_pages_is_right"
#: The label of each answer, the tests that hold it, and the checks of the doctor that find it.
HELD = {
    "q-invalid-credentials": ("tests/doctor/test_faults.py::test_a_refused_key", "credentials", "key"),
    "q-token-expired": ("tests/auth/oauth/test_client_login.py::test_an_authenticator_of_yours",),
    "q-refresh-failed": ("tests/auth/oauth/test_token_requests.py::test_only_an_invalid_grant_ends_a_login",),
    "q-refresh-when": ("tests/auth/oauth/test_oauth_key_manager.py::test_the_strategy_says_how_early",),
    "q-key-rotation": (
        "tests/auth/keys/test_pool.py::test_threads_that_change_the_keys_never_leave_others_without_one",
    ),
    "q-rotation-schedule": ("tests/auth/oauth/test_oauth_key_manager.py::test_rotation_from_due_to_gone",),
    "q-several-credentials": ("tests/client/test_collection.py::test_credentials_in_the_file",),
    "q-all-keys-exhausted": ("tests/engine/test_failover.py::test_quotas_used_up_everywhere_are_all_keys_exhausted",),
    "q-token-storage": ("tests/stores/test_token_storages.py::test_a_token_comes_back_as_it_was",),
    "q-storage-permission": ("tests/doctor/test_faults.py::test_a_token_storage_open_to_others", "token_storage"),
    "q-pkce": (
        "tests/auth/oauth/test_token_requests.py::test_the_address_of_a_login_carries_state_challenge_and_scopes",
    ),
    "q-state": ("tests/auth/oauth/test_pending_logins.py::test_a_missing_or_forged_state_is_refused",),
    "q-rate-limit": ("tests/doctor/test_faults.py::test_a_rate_limit", "quota"),
    "q-cerebras-limits": ("tests/engine/test_limits.py::test_the_count_of_a_day_survives_a_new_client",),
    "q-failover": ("tests/client/test_collection.py::test_routes",),
    "q-circuit-breaker": ("tests/policies/test_circuit_breaker.py::test_the_numbers_are_those_of_the_documentation",),
    "q-openrouter-credit": ("tests/doctor/test_faults.py::test_credit_below_ten", "credits"),
    "q-timeout": ("tests/doctor/test_faults.py::test_a_provider_that_is_slow", "latency"),
    "q-network": ("tests/doctor/test_faults.py::test_a_host_that_does_not_exist", "dns", "tcp", "tls", "proxy"),
    "q-pool": ("tests/transports/test_connections.py::test_every_failure_gives_its_place_in_the_pool_back",),
    "q-invalid-config": ("tests/config/test_broken_files.py::test_a_broken_file_is_told_at_its_line", "configuration"),
    "q-multi-provider": ("tests/client/test_collection.py::test_the_guides_own_file",),
    "q-precedence": ("tests/config/test_precedence.py::test_who_goes_before_whom",),
    "q-yaml": ("tests/config/test_broken_files.py::test_a_broken_file_is_told_at_its_line",),
    "q-secrets": ("tests/config/test_secrets.py::test_calls_use_the_secret",),
    "q-defaults": ("tests/config/test_precedence.py::test_zero_means_zero",),
    "q-openai-model": ("tests/doctor/test_faults.py::test_a_model_that_does_not_exist", "model"),
    "q-openai-access": ("tests/doctor/test_faults.py::test_no_permission", "credentials"),
    "q-context-length": (SNIPPETS,),
    "q-anthropic-headers": ("tests/providers/test_anthropic.py::test_beta_features_and_custom_headers_are_sent",),
    "q-tools": ("tests/testing/test_fake_server.py::test_every_dialect_calls_tools",),
    "q-gemini-project": ("tests/providers/test_gemini.py::test_the_project_that_pays_is_named",),
    "q-gemini-oauth": ("tests/auth/oauth/test_client_login.py::test_the_project_that_pays_is_named",),
    "q-qwen-device": ("tests/auth/oauth/test_login.py::test_a_device_logs_in_once_the_person_has_agreed",),
    "q-qwen-key": ("tests/providers/test_qwen.py::test_error_codes_mean_what_they_mean_here",),
    "q-openrouter-models": ("tests/providers/test_openrouter.py::test_a_request_is_openais_with_a_reasoning_object",),
    "q-debug-logging": ("tests/observability/test_log_output.py::test_the_level_comes_from_the_environment",),
    "q-http-dump": ("tests/observability/test_http_dump.py::test_both_ways_are_shown",),
    "q-inspect-stream": (SNIPPETS,),
    "q-auth-error": ("tests/test_error_guide.py::test_every_code_of_a_login_has_an_entry",),
    "q-read-errors": ("tests/test_error_guide.py::test_an_error_tells_its_causes_and_attempts",),
    "q-stack-traces": ("tests/cli/test_cli.py::test_the_traceback_can_be_asked_for",),
    "q-latency": ("tests/doctor/test_faults.py::test_nothing_is_wrong", "latency"),
    "q-slow": ("tests/doctor/test_faults.py::test_a_first_token_that_is_slow", "latency"),
    "q-memory": (SNIPPETS,),
    "q-leaks": ("tests/testing/test_fake_server.py::test_a_stopped_server_leaves_no_thread_and_no_port",),
    "q-cpu": (SNIPPETS,),
    "q-cache": ("tests/engine/test_caching.py::test_a_hit_costs_no_key_no_limit_and_no_circuit",),
    "q-batch": ("tests/transports/test_processes.py::test_many_threads_share_a_client",),
    "q-models-and-tokens": (SNIPPETS,),
    "q-docker": (YAML,),
    "q-kubernetes": (YAML,),
    "q-ci": (YAML,),
    "q-testing": ("tests/testing/test_mock_provider.py::test_it_says_what_it_was_told",),
    "q-integration-tests": (SNIPPETS,),
    "q-prometheus": (SNIPPETS,),
    "q-structured-logging": ("tests/observability/test_log_output.py::test_lines_for_machines",),
    "q-custom-provider": ("tests/client/test_collection.py::test_the_factory",),
    "q-middleware": ("tests/engine/test_middleware_chain.py::test_the_same_middleware_serves_every_verb",),
    "q-rate-limiter": ("tests/client/test_rate_limiter.py::test_threads_and_tasks_together_never_exceed_the_limit",),
    "q-custom-auth": ("tests/auth/oauth/test_client_login.py::test_an_authenticator_of_yours",),
    "q-plugins": ("tests/plugins/test_plugins.py::test_a_plugin_serves_every_verb",),
    "q-report": ("tests/cli/test_doctor.py::test_for_programs",),
}


def labels():
    """Where each question is answered."""
    found = {}
    for path in sorted((ROOT / "docs").rglob("*.rst")):
        for label in re.findall(r"^\.\. _(q-[\w-]+):$", path.read_text("utf-8"), re.MULTILINE):
            found.setdefault(label, []).append(path.name)
    return found


def test_each_question_is_answered_once():
    found = labels()
    assert found.keys() == HELD.keys()
    assert len(found) >= 60
    assert {label: pages for label, pages in found.items() if len(pages) > 1} == {}


@pytest.mark.parametrize("label", HELD)
def test_each_answer_is_held_by_something_that_exists(label):
    test, *checks = HELD[label]
    path, name = test.split("::")
    assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), test
    assert set(checks) <= set(ORDER)
