import numpy as np
import pytest
from PIL import Image

from segfast_edge.contract.shared.images import list_pictures, read_frame, read_labels, write_picture
from segfast_edge.errors import DataError

RGB = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


def saved(path, picture):
    picture.save(path)
    return path


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_a_picture_that_is_not_rgb_is_refused_unless_conversion_is_asked_for(tmp_path, mode):
    picture = Image.fromarray(np.full((4, 5), 513, np.uint16)) if mode == "I;16" else Image.fromarray(RGB).convert(mode)
    path = saved(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), picture)
    with pytest.raises(DataError, match="expected RGB"):
        read_frame(path)
    frame = read_frame(path, convert=True)
    assert frame.shape == (4, 5, 3)
    assert frame.dtype == np.uint8


def test_sixteen_bits_keep_their_high_byte(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.full((2, 2), 0x7FFF, np.uint16)))
    assert read_frame(path, convert=True).tolist() == [[[127] * 3] * 2] * 2


def test_exif_orientation_turns_the_picture_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_frame(tmp_path / "a.png"), np.rot90(RGB, -1))


def test_missing_truncated_and_foreign_files_are_named(tmp_path):
    with pytest.raises(DataError, match="no such image"):
        read_frame(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match="not a readable image"):
        read_frame(tmp_path / "text.png")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    whole = saved(tmp_path / "whole.png", Image.fromarray(noise))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:900])
    with pytest.raises(DataError, match="not a readable image"):
        read_frame(tmp_path / "cut.png")


def test_labels_keep_their_ids_through_palette_files_and_refuse_other_modes(tmp_path):
    ids = np.array([[0, 1], [11, 255]], np.uint8)
    grey = Image.fromarray(ids)
    picture = Image.frombytes("P", (2, 2), ids.tobytes())
    picture.putpalette([7] * 768)
    assert np.array_equal(read_labels(saved(tmp_path / "p.png", picture)), ids)
    assert np.array_equal(read_labels(saved(tmp_path / "l.png", grey)), ids)
    with pytest.raises(DataError, match="expected 8-bit class ids"):
        read_labels(saved(tmp_path / "rgb.png", Image.fromarray(RGB)))


def test_a_failed_write_leaves_neither_the_file_nor_a_temporary(tmp_path):
    with pytest.raises(DataError, match="cannot write"):
        write_picture(tmp_path / "missing" / "a.png", RGB)
    write_picture(tmp_path / "a.png", RGB)
    assert np.array_equal(read_frame(tmp_path / "a.png"), RGB)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_lists_its_pictures_by_name_and_says_when_it_has_none(tmp_path):
    with pytest.raises(DataError, match="no picture in"):
        list_pictures(tmp_path)
    for name in ("b.png", "a.JPG", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in list_pictures(tmp_path)] == ["a.JPG", "b.png"]
