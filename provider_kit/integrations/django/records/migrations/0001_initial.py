"""The tables, as they were first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Conversation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=300, unique=True)),
                ("document", models.JSONField()),
                ("revision", models.PositiveBigIntegerField(default=0)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True, db_index=True)),
            ],
            options={
                "ordering": ("-updated",),
            },
        ),
        migrations.CreateModel(
            name="Usage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("time", models.DateTimeField(db_index=True)),
                ("call", models.CharField(db_index=True, max_length=200, verbose_name="correlation id")),
                ("attempt", models.PositiveIntegerField()),
                ("provider", models.CharField(max_length=100)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("key", models.CharField(blank=True, max_length=100, verbose_name="which key")),
                ("operation", models.CharField(max_length=50)),
                ("outcome", models.CharField(max_length=50)),
                ("error", models.CharField(blank=True, max_length=100)),
                ("user", models.CharField(blank=True, db_index=True, max_length=300)),
                ("tags", models.JSONField(default=list)),
                ("duration", models.FloatField(verbose_name="seconds")),
                ("first_token", models.FloatField(null=True, verbose_name="first content")),
                ("input_tokens", models.PositiveBigIntegerField(null=True)),
                ("output_tokens", models.PositiveBigIntegerField(null=True)),
                ("cache_read_tokens", models.PositiveBigIntegerField(null=True)),
                ("cache_write_tokens", models.PositiveBigIntegerField(null=True)),
                ("reasoning_tokens", models.PositiveBigIntegerField(null=True)),
                ("tokens", models.PositiveBigIntegerField(null=True)),
                ("cost", models.DecimalField(decimal_places=12, max_digits=20, null=True)),
            ],
            options={
                "verbose_name_plural": "usage",
                "ordering": ("-time",),
            },
        ),
    ]
