"""Models, embeddings and health."""

from provider_kit.model.models import Embeddings, HealthStatus, Model, Pricing


def test_vectors_are_counted_not_shown():
    """A thousand numbers tell nobody anything."""
    found = Embeddings([[0.123456], [0.5]], "m")
    assert len(found) == 2
    assert "<2 vectors>" in repr(found)
    assert "0.123456" not in repr(found)


def test_health_is_true_or_false():
    """``if client.health_check():`` reads as it should."""
    assert HealthStatus(True, "answers", 0.1)
    assert not HealthStatus(False, "refused", 0.1)


def test_a_model_tells_only_what_is_known():
    """Everything but the id may be missing."""
    assert Model("m").context_window is None
    assert Pricing().input is None
