import io
import os
import pickle
import pickletools
import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tests.lookalikes.dance import bvh_hierarchy

from motionbeat.data_modules.motion_formats import (
    SMPL_OFFSETS,
    forward_kinematics,
    read_bvh,
    read_motion,
    read_raw_motion,
    rotations_of_6d,
    smpl_joints,
    write_bvh,
)
from motionbeat.motion import JOINTS, PARENTS, Motion, MotionError

J = {name: index for index, name in enumerate(JOINTS)}


def smpl(poses, trans, scaling=1.0):
    return {"smpl_poses": poses, "smpl_trans": trans, "smpl_scaling": np.array([scaling])}


def saved(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def about(axis, degrees):
    """A rotation matrix written out."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {
        "X": np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]),
        "Y": np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]),
        "Z": np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]),
    }[axis]


def test_the_body_at_rest_stands_with_its_arms_out():
    rest = smpl_joints(np.zeros((1, 3)), np.broadcast_to(np.eye(3), (1, 24, 3, 3)))[0]
    assert rest[J["l_wrist"], 1] == pytest.approx(rest[J["l_shoulder"], 1])
    assert rest[J["l_hand"], 0] > rest[J["l_wrist"], 0] > rest[J["l_elbow"], 0] > 0
    left = [J["l" + name[1:]] for name in JOINTS if name.startswith("r_")]
    right = [J["r" + name[1:]] for name in JOINTS if name.startswith("r_")]
    np.testing.assert_allclose(rest[left] * [-1, 1, 1], rest[right], atol=1e-12)
    assert 1.3 < rest[J["head"], 1] - rest[J["l_foot"], 1] < 1.7


def test_a_chain_worked_out_by_hand():
    """A bone of 2 up, bent a quarter turn about z; one of 1 up, bent about x in that frame."""
    offsets = np.array([[[5.0, 0, 0], [0, 2, 0], [0, 1, 0]]])
    rotations = np.stack([about("Z", 90), about("X", 90), np.eye(3)])[None]
    places = forward_kinematics((-1, 0, 1), offsets, rotations)
    np.testing.assert_allclose(places[0], [[5, 0, 0], [3, 0, 0], [3, 0, 1]], atol=1e-12)


def test_an_aistpp_pickle_is_scaled_and_posed(tmp_path):
    """The left elbow bent by 90 degrees about z lifts the forearm from sideways to upright."""
    poses = np.zeros((3, 72))
    poses[1, 3 * J["l_elbow"] + 2] = np.pi / 2
    trans = np.array([[0, 93.0, 0], [0, 93.0, 0], [186.0, 93.0, -93.0]])
    motion = read_motion(saved(tmp_path / "a.pkl", smpl(poses, trans, 93.0)))
    assert motion.fps == 60
    assert motion.positions.dtype == np.float32
    np.testing.assert_allclose(motion.positions[:, 0], trans / 93, atol=1e-6)
    fore = motion.positions[:, J["l_wrist"]] - motion.positions[:, J["l_elbow"]]
    length = np.linalg.norm(SMPL_OFFSETS[J["l_wrist"]])
    np.testing.assert_allclose(fore, [[length, 0, 0], [0, length, 0], [length, 0, 0]], atol=1e-6)


def test_six_numbers_are_the_first_two_rows_of_a_rotation():
    matrices = Rotation.random(20, rng=np.random.default_rng(1)).as_matrix()
    numbers = matrices[:, :2].reshape(20, 6)
    np.testing.assert_allclose(rotations_of_6d(numbers), matrices, atol=1e-12)
    stretched = numbers * np.repeat([2.0, 0.5], 3)
    stretched[:, 3:] += stretched[:, :3]
    np.testing.assert_allclose(rotations_of_6d(stretched), matrices, atol=1e-12)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_pickles_of_every_protocol_are_read(tmp_path, protocol):
    content = smpl(np.zeros((2, 72), np.float32), np.ones((2, 3)), 2.0)
    content["smpl_loss"] = np.float64(1.5)
    path = saved(tmp_path / "a.pkl", content, protocol)
    np.testing.assert_allclose(read_motion(path).positions[:, 0], 0.5)
    if protocol < 4:  # names are not yet preceded by their lengths
        path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))  # NumPy 1
        np.testing.assert_allclose(read_motion(path).positions[:, 0], 0.5)


class Malice:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_calls_anything_is_refused(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    content = smpl(np.zeros((2, 72)), np.zeros((2, 3))) | {"more": Malice()}
    path = saved(tmp_path / "a.pkl", content, protocol)
    with pytest.raises(MotionError, match=rf"{re.escape(os.system.__module__)}\.system") as error:
        read_motion(path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "harmed").exists()


def test_a_pickle_reaches_nothing_through_numpy(tmp_path):
    for name in ("load", "fromfile", "core.multiarray.fromfile"):
        module, _, function = f"numpy.{name}".rpartition(".")
        path = tmp_path / "a.pkl"
        path.write_bytes(f"c{module}\n{function}\n(S'x'\ntR.".encode())
        with pytest.raises(MotionError, match=f"{module}.{function}"):
            read_motion(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "smpl_poses"),
        (smpl(np.zeros((2, 71)), np.zeros((2, 3))), "reshape"),
        (smpl(np.zeros((2, 72)), np.zeros((2, 3)), 0.0), "smpl_scaling is 0"),
        (smpl(np.full((2, 72), "a", object), np.zeros((2, 3))), "other than real numbers"),
        (smpl(np.zeros((2, 72)), 10**400), r"unreadable pickle \(OverflowError"),
        (smpl(np.zeros((2, 72)), np.full((2, 3), np.nan)), "NaN"),
        (smpl(np.zeros((0, 72)), np.zeros((0, 3))), "frames|asks for"),
    ],
)
def test_a_pickle_that_is_no_motion_says_so(tmp_path, content, reason):
    path = saved(tmp_path / "a.pkl", content)
    with pytest.raises(MotionError, match=reason) as error:
        read_motion(path)
    assert str(path) in str(error.value)
    assert str(error.value).isprintable()


# Pickles no pickler writes, opcode by opcode.


def plain(value):
    """The opcodes of a plain value."""
    return pickletools.optimize(pickle.dumps(value, protocol=3))[2:-1]


def kind(code):
    return b"cnumpy\ndtype\n" + plain((code, False, True)) + b"R"


RECONSTRUCTED = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + plain((0,))
RECONSTRUCTED += plain(b"b") + b"\x87R"


def built(shape, code, content, order=False):
    """The state of an array, and its use."""
    return b"(" + plain(1) + plain(shape) + kind(code) + plain(order) + content + b"tb"


def array(shape, code="f8", content=None):
    return RECONSTRUCTED + built(shape, code, content or plain(bytes(8 * int(np.prod(shape)))))


def forged(path, poses):
    places = plain("smpl_trans") + array((2, 3)) + plain("smpl_scaling") + plain(1.0)
    path.write_bytes(b"\x80\x05}(" + plain("smpl_poses") + poses + places + b"u.")
    return path


def test_the_forger_can_write_honestly(tmp_path):
    poses = np.random.default_rng(0).normal(size=(2, 72))
    honest = read_motion(saved(tmp_path / "a.pkl", smpl(poses, np.zeros((2, 3)))))
    for order, content in ((False, poses.tobytes()), (True, poses.tobytes("F"))):
        written = RECONSTRUCTED + built((2, 72), "f8", plain(content), order)
        same = read_motion(forged(tmp_path / "b.pkl", written))
        np.testing.assert_array_equal(same.positions, honest.positions)
    big = plain(bytes(poses.astype(">f8")))
    state = plain((3, ">", None, None, None, -1, -1, 0)) + b"b"
    written = RECONSTRUCTED + built((2, 72), "f8", big).replace(kind("f8"), kind("f8") + state)
    same = read_motion(forged(tmp_path / "b.pkl", written))
    np.testing.assert_array_equal(same.positions, honest.positions)


def grown(code):
    """An array whose dtype says after it was made that each of its items has 50 MB."""
    bigger = plain((3, "|", None, None, None, 50_000_000, 1, 0))
    made = b"cnumpy\nndarray\n" + plain((1,)) + kind(code) + b"q\x00\x86R"
    return made + plain("more") + b"h\x00" + bigger + b"b"


def unfilled():
    """An array of whatever lies in memory."""
    return b"cnumpy\nndarray\n" + plain((2, 72)) + kind("f8") + b"\x86R"


def viewed():
    """An array that looks at the memory of another, which is then let go."""
    other = array((2, 72)) + b"q\x00"
    view = b"cnumpy._core.numeric\n_frombuffer\n(h\x00" + kind("f8") + plain((2, 72)) + plain("C")
    return other + b"0" + view + b"tR" + plain("more") + b"h\x00" + built((0,), "f8", plain(b""))


@pytest.mark.parametrize(
    "poses",
    [
        *(grown(code) for code in ("S8", "V8", "O8", "U2", "M8", "f8")),
        unfilled(),
        viewed(),
        array((10**9, 72), content=plain(bytes(8 * 144))),
        array((-2, -72), content=plain(bytes(8 * 144))),
        array((2, 72), content=plain(bytes(8 * 144 - 1))),
        array((2, 72), content=array((2, 72))),
        RECONSTRUCTED,
        RECONSTRUCTED + plain((1, (2, 72), "f8", False, bytes(8 * 144))) + b"b",
        b"cnumpy._core.multiarray\nscalar\n" + kind("f8") + plain(b"1234567") + b"\x86R",
        b"cnumpy._core.multiarray\nscalar\n" + kind("O") + plain(b"12345678") + b"\x86R",
    ],
)
def test_memory_beyond_the_bytes_of_a_forged_array_is_never_read(tmp_path, poses):
    """Some of these would end the process, or give out what lies in its memory."""
    path = forged(tmp_path / "a.pkl", poses)
    with pytest.raises(MotionError, match=r"a\.pkl: (refused|unreadable|no motion)") as error:
        read_motion(path)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < len(str(path)) + 200


def test_a_pickle_changes_nothing_for_those_read_after_it(tmp_path):
    """State given to a function becomes its attributes, such as its defaults."""
    change = plain((None, {"__kwdefaults__": {"axes": (0,)}, "__defaults__": (7,)}))
    for name in ("multiarray\nscalar", "multiarray\n_reconstruct", "numeric\n_frombuffer"):
        function = b"cnumpy._core." + name.encode() + b"\n"
        with pytest.raises(MotionError):
            read_motion(forged(tmp_path / "a.pkl", function + change + b"b"))
    honest = saved(tmp_path / "b.pkl", smpl(np.zeros((2, 72)), np.zeros((2, 3))), protocol=5)
    assert len(read_motion(honest).positions) == 2


def test_transposed_arrays_are_read(tmp_path):
    """NumPy writes them by protocol 5 with the order of their axes."""
    poses = np.random.default_rng(0).normal(size=(24, 2, 3))
    expected = saved(tmp_path / "a.pkl", smpl(poses.transpose(1, 0, 2).copy(), np.zeros((2, 3))))
    found = saved(tmp_path / "b.pkl", smpl(poses.transpose(1, 0, 2), np.zeros((2, 3))), protocol=5)
    np.testing.assert_array_equal(read_motion(found).positions, read_motion(expected).positions)


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(
        file, **({"positions": np.zeros((9, 24, 3), np.float32), "fps": 30} | arrays)
    )
    return file.getvalue()


UNREADABLE = "no .npz with numbers positions and fps"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", UNREADABLE),
        (pickle.dumps([1, 2]), UNREADABLE),
        (npz()[:300], UNREADABLE),
        (npz(positions=np.full((9, 24, 3), None)), UNREADABLE),
        (npz(positions=np.zeros((2, 23, 3), np.float32)), "shape"),
        (npz(fps=1e-6), "fps 1e-06; expected 1 to 1000"),
    ],
)
def test_a_bad_npz_is_named(tmp_path, content, reason):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(MotionError, match=reason) as error:
        read_motion(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "pickle" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.fbx").write_text("")
    with pytest.raises(MotionError, match="unknown kind"):
        read_motion(tmp_path / "a.fbx")
    with pytest.raises(MotionError, match="no such file"):
        read_motion(tmp_path / "b.bvh")


# --- BVH ---


def person(pelvis="6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"):
    """The look-alike of Motorica, with channels of its hips to choose."""
    return re.sub(r"CHANNELS 6.*", f"CHANNELS {pelvis}", bvh_hierarchy())


def bvh(tmp_path, rows, head=None, seconds="0.025"):
    frames = [f"Frames: {len(rows)}", f"Frame Time: {seconds}", *map(" ".join, rows)]
    parts = [head or person(), "MOTION", *frames]
    path = tmp_path / "a.bvh"
    path.write_text("\n".join(parts) + "\n")
    return path


def row(*hips, head=None, **turns):
    """A frame: the numbers of the hips, then three for each joint by its name."""
    names = re.findall(r"JOINT (\w+)", head or person())
    numbers = [*hips, *(value for name in names for value in turns.get(name, (0, 0, 0)))]
    return [str(number) for number in numbers]


HIPS = (0, 87, 0, 0, 0, 0)


def test_bvh_at_rest_has_the_places_of_its_offsets(tmp_path):
    motion = read_motion(bvh(tmp_path, [row(*HIPS)]))
    place = dict(zip(JOINTS, motion.positions[0].astype(float), strict=True))
    assert motion.fps == 40
    expected = {
        "pelvis": (0, 0.87, 0),  # its channels, and not its OFFSET
        "r_knee": (-0.09, 0.47, 0),
        "l_foot": (0.09, 0.0, 0.12),
        "spine1": (0, 0.95, 0),
        "spine2": (0, 1.06, 0),  # between the two joints of the spine
        "spine3": (0, 1.17, 0),
        "head": (0, 1.56, 0.02),
        "r_collar": (-0.04, 1.37, 0),
        "r_wrist": (-0.68, 1.37, 0),
        "l_hand": (0.77, 1.37, 0),
    }
    for name, where in expected.items():
        np.testing.assert_allclose(place[name], where, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("order", ["ZXY", "YXZ"])
def test_channels_turn_in_their_order(tmp_path, order):
    """The knee hangs 40 below the hip, 9 beside the pelvis: R (9, -40, 0) of the file's R."""
    channels = " ".join(f"{axis}rotation" for axis in order)
    head = person(f"6 {channels} Xposition Yposition Zposition")
    angles = dict(zip("XYZ", (20.0, -50.0, 75.0), strict=True))
    hips = (*(angles[axis] for axis in order), 1, 90, 2)
    motion = read_bvh(bvh(tmp_path, [row(*hips, head=head)], head))
    first, second, third = (about(axis, angles[axis]) for axis in order)
    knee = motion.positions[0, J["l_knee"]]
    expected = np.array([1, 90, 2]) + first @ second @ third @ [9, -40, 0]
    np.testing.assert_allclose(knee, expected / 100, atol=1e-6)


def test_position_channels_take_the_place_of_offsets(tmp_path):
    head = person().replace(
        "JOINT LeftLeg\n{\nOFFSET 0 -40 0\nCHANNELS 3",
        "JOINT LeftLeg\n{\nOFFSET 0 -40 0\nCHANNELS 4 Yposition",
    )
    place = read_motion(bvh(tmp_path, [row(*HIPS, LeftLeg=(-44, 0, 0, 0), head=head)], head))
    np.testing.assert_allclose(place.positions[0, J["l_knee"]], [0.09, 0.43, 0], atol=1e-6)


def test_prefixes_and_missing_fingers_are_no_matter(tmp_path):
    """Without fingers the hand goes on where the forearm points."""
    head = re.sub(r"JOINT (\w+)", r"JOINT mixamorig:\1", person())
    head = head.replace("mixamorig:LeftHandMiddle1", "mixamorig:LeftHandTip")
    names = re.findall(r"JOINT", head)
    frame = [str(number) for number in (*HIPS, *(0 for _ in names for _ in range(3)))]
    place = read_motion(bvh(tmp_path, [frame], head)).positions[0]
    hand, wrist = place[J["l_hand"]], place[J["l_wrist"]]
    np.testing.assert_allclose(hand[1:], wrist[1:], atol=1e-6)
    assert 0.05 < hand[0] - wrist[0] < 0.12


def test_one_joint_of_the_spine_is_enough(tmp_path):
    """Thirds of the way from it to the neck."""
    head = person().replace("OFFSET 0 22 0", "OFFSET 0 0 0")
    place = read_motion(bvh(tmp_path, [row(*HIPS, head=head)], head)).positions[0]
    heights = place[[J["spine1"], J["spine2"], J["spine3"], J["neck"]], 1]
    np.testing.assert_allclose(heights, 0.95 + np.arange(4) * 0.25 / 3, atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Frames: 2", "Frames: 3", "2 frames where 3"),
        ("MOTION", "", "unreadable line"),
        ("Frame Time: 0.025", "Frame Time: -0.1", "Frame Time above 0"),
        ("Frame Time: 0.025", "Frame Time: 60", "expected 1 to 1000"),
        ("Xrotation", "Wrotation", "channels"),
        ("CHANNELS 3", "CHANNELS 2", "channels"),
        ("0 87", "0 x", "unreadable BVH"),
        ("0 87", "0 nan", "NaN"),
        ("}", "", "HIERARCHY"),
        ("OFFSET 0 8 0", "OFFSET 0 eight 0", "unreadable BVH"),
        ("LeftUpLeg", "Femur.L", r"no joint for l_hip; .*Femur\.L"),
    ],
)
def test_damage_is_named(tmp_path, old, new, reason):
    path = bvh(tmp_path, [row(*HIPS), row(*HIPS)])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(MotionError, match=reason) as error:
        read_bvh(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_unit_is_found_out(tmp_path):
    path = bvh(tmp_path, [row(*HIPS)])
    with pytest.raises(MotionError, match="tall"):
        read_motion(path, unit=1.0)
    inches = read_motion(path, unit=0.0254 / 2)
    np.testing.assert_allclose(inches.positions[0, 0], [0, 0.87 * 1.27, 0], atol=1e-6)


@pytest.mark.parametrize(("said", "fps"), [("0.008333", 120), ("0.0333667", 29.97)])
def test_the_frame_rate_is_that_of_the_frame_time(tmp_path, said, fps):
    motion = read_motion(bvh(tmp_path, [row(*HIPS)], seconds=said))
    assert motion.fps == pytest.approx(fps, rel=1e-5)
    assert (motion.fps == fps) == (fps != 29.97)


def posed(seed, frames=40):
    """A body with bones of one length, whose joints turn anyhow."""
    rng = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(rng.normal(size=(frames * 24, 3))).as_matrix()
    joints = smpl_joints(rng.normal(size=(frames, 3)), turns.reshape(frames, 24, 3, 3))
    return Motion(joints.astype(np.float32), 60.0)


def scattered(seed, frames=40):
    """Bones of one length that point anywhere, also those that meet in one joint."""
    rng = np.random.default_rng(seed)
    joints = np.zeros((frames, 24, 3))
    for joint, parent in enumerate(PARENTS[1:], start=1):
        way = rng.normal(size=(frames, 3))
        way *= np.linalg.norm(SMPL_OFFSETS[joint]) / np.linalg.norm(way, axis=1, keepdims=True)
        joints[:, joint] = joints[:, parent] + way
    return Motion(joints.astype(np.float32), 59.94)


def backward():
    """A forearm that points straight back: half a turn has no shortest axis."""
    joints = smpl_joints(np.zeros((2, 3)), np.broadcast_to(np.eye(3), (2, 24, 3, 3)))
    elbow, wrist, hand = J["l_elbow"], J["l_wrist"], J["l_hand"]
    joints[:, wrist] = 2 * joints[:, elbow] - joints[:, wrist]
    joints[:, hand] = joints[:, wrist] - SMPL_OFFSETS[hand]
    return Motion(joints.astype(np.float32), 30.0)


@pytest.mark.parametrize(
    "motion", [posed(0), scattered(1), backward()], ids=["posed", "scattered", "backward"]
)
def test_what_is_written_is_read_back_within_a_millimetre(tmp_path, motion):
    write_bvh(motion, tmp_path / "a.bvh")
    again = read_motion(tmp_path / "a.bvh")
    assert again.fps == pytest.approx(motion.fps, rel=1e-12)
    assert np.abs(again.positions - motion.positions).max() < 1e-3


def test_another_reader_finds_the_same_joints(tmp_path):
    """A reader of a few lines that multiplies 4 x 4 matrices, one frame at a time."""
    motion = posed(4, frames=3)
    write_bvh(motion, tmp_path / "a.bvh")
    head, tail = (tmp_path / "a.bvh").read_text().split("MOTION\n")
    for frame, line in enumerate(tail.splitlines()[2:]):
        values = iter(float(value) for value in line.split())
        stack, found, name = [np.eye(4)], {}, ""
        for words in map(str.split, head.splitlines()):
            if words[0] in ("ROOT", "JOINT", "End"):
                name = words[1]
                stack.append(stack[-1].copy())
            elif "OFFSET" in words:
                step = np.eye(4)
                step[:3, 3] = [float(word) for word in words[words.index("OFFSET") + 1 :][:3]]
                stack[-1] = stack[-1] @ step
                if "}" in words:
                    stack.pop()
            elif words[0] == "CHANNELS":
                for channel in words[2:]:
                    step = np.eye(4)
                    if channel.endswith("position"):
                        step["XYZ".index(channel[0]), 3] = next(values)
                    else:
                        step[:3, :3] = about(channel[0], next(values))
                    stack[-1] = stack[-1] @ step
                found[name] = stack[-1][:3, 3] / 100
            elif words[0] == "}":
                stack.pop()
        seen = np.array([found[name] for name in JOINTS])
        assert np.abs(seen - motion.positions[frame]).max() < 1e-3


# --- What generators write ----------------------------------------------------------------------


def test_edge_writes_its_joints_beside_the_rotations(tmp_path):
    joints = np.random.default_rng(0).normal(size=(5, 24, 3)).astype(np.float32)
    edge = {"smpl_poses": np.zeros((5, 72)), "smpl_trans": np.zeros((5, 3))}
    for full_pose in (joints, joints[None]):
        motion = read_raw_motion(saved(tmp_path / "a.pkl", edge | {"full_pose": full_pose}))
        assert motion.fps == 30
        np.testing.assert_array_equal(motion.positions, joints)
    with pytest.raises(MotionError, match="set it with --fps"):
        read_raw_motion(saved(tmp_path / "a.pkl", edge))
    assert read_raw_motion(tmp_path / "a.pkl", fps=25).fps == 25


@pytest.mark.parametrize("joints", [22, 52])
@pytest.mark.parametrize("contacts", [0, 4])
def test_lodge_and_finedance_write_rotations(tmp_path, joints, contacts):
    place = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]])
    upright = np.tile([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], (2, joints))
    np.save(tmp_path / "a.npy", np.hstack([np.full((2, contacts), 9.0), place, upright]))
    motion = read_raw_motion(tmp_path / "a.npy")
    assert motion.fps == 30
    np.testing.assert_allclose(motion.positions[:, 0], place)
    hip = SMPL_OFFSETS[JOINTS.index("l_hip")]
    np.testing.assert_allclose(motion.positions[:, JOINTS.index("l_hip")], place + hip, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 24, 3), (4, 72)])
def test_arrays_of_positions_need_a_frame_rate(tmp_path, shape):
    joints = np.random.default_rng(0).normal(size=(4, 24, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", joints.reshape(shape))
    with pytest.raises(MotionError, match="set it with --fps"):
        read_raw_motion(tmp_path / "a.npy")
    np.testing.assert_array_equal(read_raw_motion(tmp_path / "a.npy", 30).positions, joints)


@pytest.mark.parametrize(
    "renamed",
    [
        lambda name: f"mixamorig:{name}",
        lambda name: f"mixamorig{name}",
        lambda name: f"mixamorig1:{name}",
    ],
)
def test_joints_of_mixamo_with_any_prefix(tmp_path, renamed):
    plain = read_raw_motion(bvh(tmp_path, [row(*HIPS)]))
    text = re.sub(r"(ROOT|JOINT) (\w+)", lambda m: f"{m[1]} {renamed(m[2])}", person())
    prefixed = read_raw_motion(bvh(tmp_path, [row(*HIPS)], text))
    np.testing.assert_array_equal(prefixed.positions, plain.positions)


def test_joints_of_smplx_and_small_letters(tmp_path):
    write_bvh(
        Motion(SMPL_OFFSETS[None].repeat(3, 0).cumsum(1).astype(np.float32), 30), tmp_path / "a.bvh"
    )
    plain = read_raw_motion(tmp_path / "a.bvh")
    text = (tmp_path / "a.bvh").read_text().replace("MOTION", "motion")
    text = re.sub(r"\bl_(\w+)", r"left_\1", re.sub(r"\br_(\w+)", r"right_\1", text))
    (tmp_path / "b.bvh").write_text(text)
    np.testing.assert_array_equal(read_raw_motion(tmp_path / "b.bvh").positions, plain.positions)


# --- Files that ask for too much ----------------------------------------------------------------


def test_an_index_beyond_the_file_takes_no_memory(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02K\x01r\x00\x00\x00\x10.")
    with pytest.raises(MotionError, match="refused"):
        read_raw_motion(tmp_path / "a.pkl")


def test_lines_without_end_are_read_in_a_moment(tmp_path):
    for junk in ("\n" * 1_000_000, "junk\n" * 1_000_000):
        (tmp_path / "a.bvh").write_text("HIERARCHY\n" + junk)
        with pytest.raises(MotionError):
            read_raw_motion(tmp_path / "a.bvh")


@pytest.mark.parametrize(
    "positions",
    [
        np.full((4, 24, 3), "1"),
        np.ones((4, 24, 3), complex),
        np.ones((4, 24, 3), bool),
        np.ones((0, 24, 3)),
        np.zeros((1_100_000, 24, 3), np.float32),
    ],
    ids=["text", "complex", "bool", "empty", "bomb"],
)
def test_positions_that_are_no_dance(tmp_path, positions):
    np.savez_compressed(tmp_path / "a.npz", positions=positions, fps=30.0)
    with pytest.raises(MotionError):
        read_raw_motion(tmp_path / "a.npz")
    if len(positions) == 4:  # empty and long arrays are refused elsewhere, by their shape
        np.save(tmp_path / "a.npy", positions)
        with pytest.raises(MotionError):
            read_raw_motion(tmp_path / "a.npy", 30.0)
