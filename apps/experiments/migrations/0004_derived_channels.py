from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ('experiments', '0003_layouts_and_inspections'),
    ]

    operations = [
        migrations.AddField(
            model_name='channel',
            name='is_derived',
            field=models.BooleanField(default=False, help_text='a pipeline has made it of others'),
        ),
        migrations.AddField(
            model_name='mosaic',
            name='is_derived',
            field=models.BooleanField(default=False, help_text='of channels that a pipeline has made'),
        ),
        migrations.RemoveConstraint(
            model_name='mosaic',
            name='mosaic_current_once',
        ),
        migrations.AddConstraint(
            model_name='mosaic',
            constraint=models.UniqueConstraint(condition=Q(('is_current', True), ('is_derived', False)), fields=('plate',), name='mosaic_current_once'),
        ),
    ]
