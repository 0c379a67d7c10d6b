"""Each mesh is found once, with the right id, category and split; the error for a refused source names the source."""

import tracemalloc
from pathlib import Path

import pytest

from lagem.sources.mesh_files import find_meshes


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("lamp/a.obj", "lamp/deep/b.PLY", "lamp/._a.obj", ".git/c.obj", "notes.txt", "d.stl"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    (tmp_path / "tree" / "folder.obj").mkdir()
    return tmp_path / "tree"


def test_folders_are_searched_and_hidden_or_unknown_names_passed_over(tree):
    found = {mesh.id: mesh.category for mesh in find_meshes([tree], val_share=0)}
    assert found == {"d": "tree", "lamp__a": "lamp", "lamp__deep__b": "deep"}


def test_a_file_is_named_by_its_stem_and_its_folder(tree):
    (mesh,) = find_meshes([tree / "lamp" / "a.obj"], val_share=0)
    assert (mesh.id, mesh.category, mesh.path) == ("a", "lamp", str(tree / "lamp" / "a.obj"))


def test_a_manifest_names_id_category_and_split(tree):
    manifest = tree / "list.csv"
    manifest.write_text("id,file,category,split,notes\nx,lamp/a.obj,light,val,n\ny,d.stl,,,\n")
    x, y = find_meshes([manifest], val_share=0)
    assert (x.id, x.path, x.category, x.split) == ("x", str(tree / "lamp" / "a.obj"), "light", "val")
    assert (y.id, y.category, y.split) == ("y", "tree", "train")


def test_a_manifest_without_its_columns_is_refused(tree):
    (tree / "list.csv").write_text("path,id\na,b\n")
    with pytest.raises(ValueError, match="its first line is 'path,id'"):
        find_meshes([tree / "list.csv"], val_share=0)
    (tree / "list.csv").write_text("file,id\na.obj,\n")
    with pytest.raises(ValueError, match="line 2 lacks the file or the id"):
        find_meshes([tree / "list.csv"], val_share=0)


def test_files_that_differ_in_their_ending_only_keep_it_in_their_ids(tree):
    (tree / "lamp" / "a.stl").touch()
    assert {mesh.id for mesh in find_meshes([tree], val_share=0)} == {
        "d",
        "lamp__a.obj",
        "lamp__a.stl",
        "lamp__deep__b",
    }


def test_two_meshes_of_one_id_are_both_named(tree):
    (tree / "a.obj").touch()
    with pytest.raises(ValueError, match=r"id 'a': .*a\.obj and .*a\.obj"):
        find_meshes([tree / "lamp" / "a.obj", tree / "a.obj"], val_share=0)


def test_a_mesh_given_twice_is_one_mesh(tree):
    assert len(find_meshes([tree, tree, tree / "d.stl"], val_share=0)) == 3


@pytest.mark.parametrize("id", ["../up", ".hidden", "a\\b", "new\nline", "x" * 201])
def test_ids_that_cannot_name_a_file_are_refused(id, tree):
    (tree / "list.csv").write_text(f'file,id\nd.stl,"{id}"\n')
    with pytest.raises(ValueError, match="cannot be an id"):
        find_meshes([tree / "list.csv"], val_share=0)


def test_one_category_for_all_overrides(tree):
    assert {mesh.category for mesh in find_meshes([tree], val_share=0, category="all")} == {"all"}


def test_split_depends_on_the_id_alone(tmp_path):
    for number in range(400):
        (tmp_path / f"{number}.obj").touch()
    splits = {mesh.id: mesh.split for mesh in find_meshes([tmp_path], val_share=0.1)}
    assert 15 < list(splits.values()).count("val") < 70
    for number in range(0, 400, 2):
        (tmp_path / f"{number}.obj").unlink()
    fewer = {mesh.id: mesh.split for mesh in find_meshes([tmp_path], val_share=0.1)}
    assert fewer.items() <= splits.items()


def test_absent_and_empty_sources_are_errors(tmp_path):
    with pytest.raises(ValueError, match="no such file or folder"):
        find_meshes([tmp_path / "nowhere"], val_share=0)
    with pytest.raises(ValueError, match="no mesh found in the given folders and manifests; give files that end in"):
        find_meshes([tmp_path], val_share=0)


def test_linked_folders_are_read_as_others_are(tree, tmp_path):
    (tmp_path / "disk" / "chair").mkdir(parents=True)
    (tmp_path / "disk" / "chair" / "e.ply").touch()
    (tree / "chair").symlink_to(tmp_path / "disk" / "chair")
    (tree / ".hidden").symlink_to(tmp_path / "disk")
    found = {mesh.id: (mesh.category, mesh.path) for mesh in find_meshes([tree], val_share=0)}
    assert found["chair__e"] == ("chair", str(tree / "chair" / "e.ply"))
    assert set(found) == {"d", "lamp__a", "lamp__deep__b", "chair__e"}
    (tmp_path / "given").symlink_to(tree)
    assert {mesh.id for mesh in find_meshes([tmp_path / "given"], val_share=0)} == set(found)


@pytest.mark.parametrize("target", [".", "..", "lamp", "/", "lamp/deep"])
def test_a_link_that_would_list_files_again_or_never_end_is_named(tree, capsys, target):
    (tree / "lamp" / "deep" / "link").symlink_to(target if target == "/" else tree / target)
    assert {mesh.id for mesh in find_meshes([tree], val_share=0)} == {"d", "lamp__a", "lamp__deep__b"}
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{tree / 'lamp' / 'deep' / 'link'}: a link to ") and line.endswith("the link is skipped.")


def test_folders_that_link_to_one_another_are_read_once(tmp_path):
    """Twenty folders hold links to one another, so there are far too many paths through the links to follow all."""
    for number in range(20):
        (tmp_path / "disk" / f"{number}").mkdir(parents=True)
        (tmp_path / "disk" / f"{number}" / f"{number}.ply").touch()
    for number in range(20):
        for other in range(20):
            (tmp_path / "disk" / f"{number}" / f"to_{other}").symlink_to(tmp_path / "disk" / f"{other}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "first").symlink_to(tmp_path / "disk" / "0")
    assert len(find_meshes([tmp_path / "data"], val_share=0)) == 20


def long_manifest(path: Path, rows: int, *, comment: str = "") -> Path:
    lines = (f"meshes/{number:07d}.ply,{number:07d},chair,train,{comment}\n" for number in range(rows))
    path.write_text("file,id,category,split,comment\n" + "".join(lines))
    return path


def test_the_memory_of_a_manifest_is_that_of_the_fields_that_are_kept(tmp_path):
    """Each row adds less than 500 bytes of memory, however long its unused columns are."""

    def peak(rows: int, comment: str) -> int:
        manifest = long_manifest(tmp_path / "list.csv", rows, comment=comment)
        tracemalloc.start()
        try:
            assert len(find_meshes([manifest], val_share=0)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for comment in ("", "x" * 2000):
        assert peak(4000, comment) - peak(2000, comment) < 500 * 2000
