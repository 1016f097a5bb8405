"""An optional app: conversations and usage in the database of the project, and an admin that only shows them.

In the settings: ``INSTALLED_APPS = [..., "provider_kit.integrations.django",
"provider_kit.integrations.django.records"]``, then ``manage.py migrate``. ``client.conversation(id,
store=DjangoHistory())`` keeps a conversation there; calls of ``clients`` write their usage by themselves.
"""
