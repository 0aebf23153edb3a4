"""Pictures, pixel values, measurements and tile sessions over the API."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from rest_framework.test import APIClient

from apps.tiles.selectors.columns import quantised
from tests.integration.tiles.served import FEATURE, HEIGHT, WIDTH, Served

pytestmark = pytest.mark.django_db


def base(served: Served) -> str:
    return f"/api/v1/experiments/{served.experiment.id}"


def picture(answer: Any) -> np.ndarray:
    assert answer.status_code == 200, answer.content[:300]
    bgr = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def column(client: APIClient, served: Served, **query: Any) -> Any:
    return client.get(f"{base(served)}/object-sets/{served.objects.id}/features/{FEATURE}/", query)


def test_a_tile_session_sets_cookies_for_this_experiment(client: APIClient, served: Served) -> None:
    answer = client.post(f"{base(served)}/tile-session/")

    assert answer.status_code == 204
    found = {name: morsel["path"] for name, morsel in answer.cookies.items()}
    e = served.experiment.id
    assert found == {"tm_tiles": f"/tiles/{e}/", "tm_zarr": f"/zarr/{e}/"}
    for morsel in answer.cookies.values():
        assert (morsel["httponly"], morsel["samesite"], morsel["max-age"]) == (True, "Lax", 600)


def test_a_region_at_full_size_is_exact(client: APIClient, served: Served) -> None:
    query = {"y": 400, "x": 300, "height": 200, "width": 250, "channels": "0:100:4100:ff0000"}

    found = picture(client.get(f"{base(served)}/mosaics/{served.mosaic.id}/render/", query))

    expected = np.rint(
        np.clip((served.image[400:600, 300:550].astype(float) - 100) / 4000, 0, 1) * 255
    )
    assert found.shape == (200, 250, 3)
    assert np.abs(found[..., 0] - expected).max() <= 1
    assert not found[..., 1:].any()


def test_the_whole_plate_small(client: APIClient, served: Served) -> None:
    answer = client.get(f"{base(served)}/mosaics/{served.mosaic.id}/render/", {"size": 128})

    found = picture(answer)
    assert answer.headers["Content-Type"] == "image/png"
    assert found.shape == (64, 128, 3)
    # Blue and green by the layout's colours, and black where there is no site.
    assert found[10, 10, 1] > 50 < found[10, 10, 2]
    assert not found[:, 70:].any()


def test_brightfield_takes_light_away_from_white(client: APIClient, served: Served) -> None:
    channels = served.mosaic.info["channels"]
    served.mosaic.info["channels"] = [{**c, "brightfield": c["index"] == 0} for c in channels]
    served.mosaic.save()
    query = {"y": 400, "x": -50, "height": 200, "width": 250}
    url = f"{base(served)}/mosaics/{served.mosaic.id}/render/"

    red = picture(client.get(url, {**query, "channels": "0:100:4100:ff0000"}))
    both = picture(client.get(url, {**query, "channels": "0:100:4100:ff0000,1:0:1:000000"}))

    part = np.clip((served.image[400:600, :200].astype(float) - 100) / 4000, 0, 1)
    assert np.abs(red[:, 50:, 0] - np.rint(part * 255)).max() <= 1
    assert (red[..., 1:] == 255).all()
    assert (red[:, :50] == 255).all()
    np.testing.assert_array_equal(both, red)


def test_jpeg_of_a_region_that_reaches_beyond_the_plate(client: APIClient, served: Served) -> None:
    query = {"y": -100, "x": -100, "height": 300, "width": 300, "size": 300, "format": "jpeg"}

    answer = client.get(
        f"{base(served)}/mosaics/{served.mosaic.id}/render/",
        query,
        headers={"accept": "image/jpeg"},
    )

    found = picture(answer)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert found[:80, :80].max() < 20
    assert found[120:, 120:].mean() > 50


@pytest.mark.parametrize(
    "query",
    [{"channels": "7"}, {"channels": "0:5"}, {"channels": "0:5:5"}, {"channels": "0:a:b"}, {"t": 4}, {"z": 1},
     {"channels": "0:1:2:zzzzzz"}, {"size": 9999}, {"height": 0}, {"format": "gif"}, {"y": 99999},
     {"height": 2**31 - 1, "width": 2**31 - 1, "size": 2048}, {"channels": ",".join("0" * 17)}],
)  # fmt: skip
def test_impossible_pictures_are_refused_in_words(
    client: APIClient, served: Served, query: dict[str, Any]
) -> None:
    answer = client.get(f"{base(served)}/mosaics/{served.mosaic.id}/render/", query)

    assert answer.status_code == 400, answer.content[:200]
    assert answer.json()["message"]


def test_pixel_values_in_original_units(client: APIClient, served: Served) -> None:
    address = f"{base(served)}/mosaics/{served.mosaic.id}/pixels/"

    inside = client.get(address, {"y": 512, "x": 999}).json()
    beside = client.get(address, {"y": 10, "x": 1900}).json()

    assert inside["values"][0] == {"channel": 0, "value": float(served.image[512, 999])}
    assert [v["value"] for v in beside["values"]] == [None, None]
    assert client.get(address, {"y": 5000, "x": 0}).status_code == 404
    assert client.get(address, {"y": 1}).status_code == 400


def test_a_column_as_floats_and_ranges(client: APIClient, served: Served) -> None:
    whole = column(client, served)
    part = column(client, served, first=3, count=5)

    assert np.array_equal(np.frombuffer(whole.content, "<f4"), served.values, equal_nan=True)
    assert np.array_equal(np.frombuffer(part.content, "<f4"), served.values[2:7])
    assert (whole.headers["X-Count"], part.headers["X-Count"]) == (str(len(served.values)), "5")
    assert whole.headers["Content-Type"] == "application/octet-stream"
    assert column(client, served, first=10**6).content == b""
    assert (HEIGHT, WIDTH) == (900, 1000)


def test_a_column_as_bytes(client: APIClient, served: Served) -> None:
    own = column(client, served, format="u1")
    asked = column(client, served, format="u1", low=10, high=20)

    values = np.frombuffer(asked.content, np.uint8)
    assert (own.headers["X-Low"], own.headers["X-High"]) == ("0.0", "300.0")
    assert np.frombuffer(own.content, np.uint8)[1] == 0
    expected = 1 + np.clip((served.values - 10) / 10, 0, 1) * 254
    assert np.nanmax(np.abs(values - expected)[np.isfinite(expected)]) <= 0.5
    assert column(client, served, low=5, high=1).status_code == 400
    missing = client.get(f"{base(served)}/object-sets/{served.objects.id}/features/Nothing/")
    assert missing.status_code == 404


def test_places_are_columns_like_measurements(client: APIClient, served: Served) -> None:
    url = f"{base(served)}/object-sets/{served.objects.id}"

    columns = {
        name: np.frombuffer(client.get(f"{url}/features/{name}/").content, "<f4")
        for name in ("site", "label", "y", "x")
    }

    for index in (1, 3):
        single = client.get(f"{url}/objects/{index}/").json()
        for name, values in columns.items():
            assert values[index - 1] == pytest.approx(single[name])


def test_one_object(client: APIClient, served: Served) -> None:
    address = f"{base(served)}/object-sets/{served.objects.id}/objects"

    third, second = (client.get(f"{address}/{i}/").json() for i in (3, 2))

    assert (third["index"], third["well"], third["box"]) == (3, "A01", [0, 40, 10, 50])
    assert third["features"] == {FEATURE: 1.0}
    assert second["features"] == {FEATURE: None}
    assert client.get(f"{address}/0/").status_code == 404
    assert client.get(f"{address}/99999999/").status_code == 404


def test_strangers_see_nothing(served: Served, stranger: Any) -> None:
    client = APIClient()
    client.force_login(stranger)

    for rest in ("tile-session/", f"mosaics/{served.mosaic.id}/render/",
                 f"mosaics/{served.mosaic.id}/pixels/?y=1&x=1", f"object-sets/{served.objects.id}/objects/1/",
                 f"object-sets/{served.objects.id}/features/{FEATURE}/"):  # fmt: skip
        method = client.post if rest == "tile-session/" else client.get
        assert method(f"{base(served)}/{rest}").status_code == 404, rest


def test_quantising_keeps_order_and_marks_what_is_missing() -> None:
    values = np.array([-np.inf, 0, 1, 2, 3, 4, np.inf, np.nan])

    assert quantised(values, 1, 3).tolist() == [1, 1, 1, 128, 255, 255, 255, 0]
    assert quantised(np.array([5.0, np.nan]), 5, 5).tolist() == [1, 0]
