"""A project of Django for the tests."""

import os

DEBUG = False
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "django_settings"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "provider_kit.integrations.django",
    "provider_kit.integrations.django.records",
]
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "provider_kit.integrations.django.middleware.ErrorMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DJANGO_TEST_DB", ":memory:")}}
DATABASES["default"]["ATOMIC_REQUESTS"] = True
PROVIDER_KIT = {"default": {"type": "demo"}, "echo": {"type": "demo", "model": "echo"}}


def __getattr__(name):
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.contrib import admin
    from django.db import transaction
    from django.http import HttpResponse
    from django.urls import path

    from provider_kit.errors import RateLimitError
    from provider_kit.integrations.django import astream_response, clients, stream_response

    def plain(request):
        return stream_response(clients["default"].stream("What is 2 + 3?"), protocol="text")

    @transaction.non_atomic_requests
    def non_atomic(request):
        return plain(request)

    @transaction.non_atomic_requests
    async def asynchronous(request):
        return await astream_response(clients["default"].astream("What is 2 + 3?"), protocol="text")

    @transaction.non_atomic_requests
    async def lazy(request):
        return stream_response(clients["default"].astream("What is 2 + 3?"), protocol="text")

    @transaction.non_atomic_requests
    async def asks(request):
        return HttpResponse((await clients["echo"].achat("Hello")).text)

    @transaction.non_atomic_requests
    def failing(request):
        raise RateLimitError("secret", status_code=429, retry_after=3)

    views = (plain, non_atomic, asynchronous, lazy, asks, failing)
    return [path("admin/", admin.site.urls), *(path(view.__name__, view) for view in views)]
