"""Give the user ``demo`` access to the admin. Use the example only on your own machine."""

from django.db import migrations


def let_in(apps, schema_editor):
    apps.get_model("auth", "User").objects.filter(username="demo").update(is_staff=True, is_superuser=True)


def keep_out(apps, schema_editor):
    apps.get_model("auth", "User").objects.filter(username="demo").update(is_staff=False, is_superuser=False)


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial"), ("streams", "0001_demo_user")]
    operations = [migrations.RunPython(let_in, keep_out)]
