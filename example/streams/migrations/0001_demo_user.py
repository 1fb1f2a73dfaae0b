"""Add the user ``demo``. The login page shows the user's name and password."""

from django.contrib.auth.hashers import make_password
from django.db import migrations

USERNAME = PASSWORD = "demo"


def add_demo_user(apps, schema_editor):
    users = apps.get_model("auth", "User").objects
    users.get_or_create(username=USERNAME, defaults={"password": make_password(PASSWORD)})


def remove_demo_user(apps, schema_editor):
    apps.get_model("auth", "User").objects.filter(username=USERNAME).delete()


class Migration(migrations.Migration):
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]
    operations = [migrations.RunPython(add_demo_user, remove_demo_user)]
