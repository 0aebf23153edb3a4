"""Who may do what with the routes of pictures, pixels and measurements. Rows: see `roles`."""

from pathlib import Path

from django.conf import settings

from apps.experiments.models import Mosaic, ObjectSet
from tests.integration.access.roles import VIEW, World, row
from tests.integration.tiles.served import FEATURE, serve


def build(world: World) -> dict[str, object]:
    """Put pixels behind the world's mosaic, and add an object set with measurements."""
    mosaic = Mosaic.objects.filter(id=world.arguments.get("mosaic_id")).first()
    Path(settings.TISSUEMAPS_DATA).mkdir(parents=True, exist_ok=True)
    served = serve(world.experiment, world.plate, mosaic=mosaic)
    assert ObjectSet.objects.filter(id=served.objects.id).exists()
    return {
        "mosaic_id": served.mosaic.id,
        "object_set_id": served.objects.id,
        "feature": FEATURE,
        "index": 3,
    }


ROWS = [
    row("POST", "tile-session", None, VIEW(204)),
    row("GET", "feature-column", None, VIEW(200)),
    row("GET", "object-detail", None, VIEW(200)),
    row("GET", "mosaic-render?size=64", None, VIEW(200)),
    row("GET", "mosaic-pixels?y=3&x=4", None, VIEW(200)),
]
