"""Row 53: what is swept while somebody on the same client reads it. NFS keeps its name, as .nfs and a number."""

from tests.nfs.server import until
from tests.nfs.suite.site import as_pod


def test_debris_that_is_open_stops_nobody_and_goes_when_it_is_closed(site, model, a):
    debris = a / ".staging" / "org--stub" / f"{model.commit}.dead"
    body = b"read while it is swept"
    with as_pod():
        debris.mkdir(parents=True)
        (debris / "config.json").write_bytes(body)
        reader = (debris / "config.json").open("rb")
    with reader:
        done = site.populate(a, model).end()
        assert done.code == 0, done.stderr
        assert "cannot be removed whole" in done.stderr
        assert site.is_whole(model)
        assert [p.name[:4] for p in site.volume.path.glob(".staging/org--stub/*/*")] == [".nfs"]
        assert reader.read() == body
        blocked = site.populate(a, model).end()
        assert blocked.code == 0, blocked.stderr
    until(lambda: not list(site.volume.path.glob(".staging/org--stub/*/*")))
    assert site.populate(a, model).end().code == 0
    assert site.staging() == []
