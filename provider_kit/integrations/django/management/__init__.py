"""The command ``manage.py provider_kit``."""
