"""Lectures with slides beside people, whose truth is known: when which slide came.

Slides are drawn (text, charts, tables, pictures that move) in a template of their own. The people are pictures that
drift and flicker. For the tests and for the benchmark of slides.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt
import skimage.data
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

SIZE = 1280, 720

_TEXT = """
energy method sample estimate of the variance is bounded by a constant independent which we prove in section three
results show that students remember more when they explain why an example works and compare it with others network
weights gradient step size model training error cell membrane transport protein market price demand supply
equilibrium theorem lemma proof corollary matrix rank kernel image basis vector space field law motion force mass
speed light wave culture history empire trade religion language grammar verb noun sentence meaning
"""
WORDS = _TEXT.split()


class Layout(NamedTuple):
    """Where the slide and the tiles of people are; no slide in a gallery of faces only."""

    slide: Box | None
    tiles: list[Box]


def layout(kind: str, people: int) -> Layout:
    """`right`, `top`, `bottom`, `half` (slides at the left, two columns of people), `corner` or `gallery`."""
    width, height = SIZE
    if kind == "right":
        h = min(176, 700 // people)
        return Layout((0, 60, 1000, 562), [(1010, 10 + i * h, 260, h - 6) for i in range(people)])
    if kind in ("top", "bottom"):
        w = min(230, width // people)
        y, slide_y = (4, 150) if kind == "top" else (572, 6)
        left = (width - people * w) // 2
        return Layout((147, slide_y, 986, 555), [(left + i * w, y, w - 6, 138) for i in range(people)])
    if kind == "half":
        rows = math.ceil(people / 2)
        h = min(240, height // rows)
        return Layout((0, 120, 840, 472), [(850 + i % 2 * 215, i // 2 * h + 4, 210, h - 8) for i in range(people)])
    if kind == "corner":
        return Layout((0, 0, 1280, 720), [(1030, 540, 240, 170)])
    columns = math.ceil(math.sqrt(people))
    rows = math.ceil(people / columns)
    w, h = width // columns, height // rows
    tiles = []
    for i in range(people):
        row, column = divmod(i, columns)
        last = people - (rows - 1) * columns if row == rows - 1 else columns
        tiles.append(((width - last * w) // 2 + column * w + 3, row * h + 3, w - 6, h - 6))
    return Layout(None, tiles)


@dataclass
class Slide:
    """One slide: its pictures in the order in which it is built up, and the part of it that moves, if any."""

    builds: list[Picture]
    moving: Box | None = None


@dataclass
class SlideLecture:
    """A rendered lecture: `slides[i]` is on display from `starts[i]` on, in seconds.

    `seatings` are (second, layout, the numbers of the people in its tiles). `fade` is the length of a transition in
    seconds. `faces[n]` are the pictures of person n. Where the layout has no slide, none is displayed.
    """

    seed: int
    seconds: float
    faces: Sequence[Sequence[Picture]]
    seatings: list[tuple[float, Layout, list[int]]]
    starts: list[float] = field(default_factory=list)
    slides: list[Slide] = field(default_factory=list)
    fade: float = 0.0
    cursor: bool = True
    _cache: dict[tuple[int, int, int, int], Picture] = field(default_factory=dict)

    @property
    def changes(self) -> list[float]:
        """The times at which a slide was replaced by another."""
        return self.starts[1:]

    def picture(self, t: float) -> Picture:
        """The picture at second `t`, [height, width, 3] BGR."""
        _, seats, who = [each for each in self.seatings if each[0] <= t][-1]
        page = np.full((SIZE[1], SIZE[0], 3), 24, np.uint8)
        if seats.slide is not None and self.slides:
            x, y, w, h = seats.slide
            page[y : y + h, x : x + w] = cv2.resize(self._slide(t), (w, h), interpolation=cv2.INTER_AREA)
            if self.cursor:
                _draw_cursor(page, x + w * (0.5 + 0.4 * math.sin(0.31 * t)), y + h * (0.5 + 0.4 * math.sin(0.23 * t)))
        for number, tile in zip(who, seats.tiles, strict=False):
            self._draw_person(page, number, tile, t)
        return page

    def write(self, out: Path, fps: int = 10, crf: int = 26) -> None:
        """Write the lecture as H.264, with a key frame every four seconds, whose quality differs from the others'."""
        with av.open(str(out), "w") as container:
            options = {"preset": "veryfast", "crf": str(crf), "x264-params": f"keyint={4 * fps}:scenecut=0"}
            stream = container.add_stream("libx264", rate=fps, options=options)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            for n in range(round(self.seconds * fps)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(self.picture(n / fps), format="bgr24")))
            container.mux(stream.encode())

    def _slide(self, t: float) -> Picture:
        n = max(i for i, start in enumerate(self.starts) if start <= t or i == 0)
        page = self._built(n, t)
        since = t - self.starts[n]
        if n and since < self.fade:
            mix = since / self.fade
            before = self._built(n - 1, self.starts[n] - 0.01)
            page = np.asarray(cv2.addWeighted(page, mix, before, 1 - mix, 0), np.uint8)
        return page

    def _built(self, n: int, t: float) -> Picture:
        slide = self.slides[n]
        end = self.starts[n + 1] if n + 1 < len(self.starts) else self.seconds
        step = (end - self.starts[n]) / len(slide.builds)
        page = slide.builds[min(len(slide.builds) - 1, max(0, int((t - self.starts[n]) / step)))]
        if slide.moving is not None:
            page = page.copy()
            x, y, w, h = slide.moving
            page[y : y + h, x : x + w] = _film(w, h, t, self.seed + n)
        return page

    def _draw_person(self, page: Picture, number: int, tile: Box, t: float) -> None:
        x, y, w, h = tile
        shown = self.faces[number]
        turn = int(t / (5 + number % 4)) + number
        key = (number, turn % len(shown), w, h)
        if key not in self._cache:
            picture = shown[turn % len(shown)]
            scale = 1.1 * h / picture.shape[0]
            self._cache[key] = _scaled(picture, scale)
        face = self._cache[key]
        light = 1 + 0.05 * math.sin(0.9 * t + number) + 0.04 * math.sin(7.1 * t + 3 * number)
        wall = [60 + number * 53 % 140, 60 + number * 91 % 140, 60 + number * 29 % 140]
        picture = np.full((h, w, 3), wall, np.uint8)
        cv2.rectangle(picture, (w // 12, h // 8), (w // 4, h // 2), (40, 60, 90), 2)  # a picture on the wall
        left = round((w - face.shape[1]) / 2 + 0.06 * w * math.sin(0.7 * t + number))
        rise = round((h - face.shape[0]) / 2 + 0.03 * h * math.sin(0.9 * t + number))
        x0, y0, x1, y1 = max(left, 0), max(rise, 0), min(left + face.shape[1], w), min(rise + face.shape[0], h)
        picture[y0:y1, x0:x1] = face[y0 - rise : y1 - rise, x0 - left : x1 - left]
        picture = np.clip(picture * light, 0, 255).astype(np.uint8)
        cv2.putText(picture, f"Student {number}", (6, h - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, 16)
        page[y : y + h, x : x + w] = picture


def slide_lecture(
    seed: int, faces: Sequence[Sequence[Picture]], slides: int = 20, stay: tuple[float, float] = (6.0, 16.0)
) -> SlideLecture:
    """A lecture with `slides` slides beside people; the seed chooses layout, template, transitions and people."""
    rng = random.Random(seed)
    kind = ("right", "top", "bottom", "half", "corner")[seed % 5]
    people = 1 if kind == "corner" else rng.randint(2, min(5, len(faces)))
    who = rng.sample(range(len(faces)), people)
    starts = [0.0]
    for _ in range(slides - 1):
        starts.append(round(starts[-1] + rng.uniform(*stay), 2))
    seconds = starts[-1] + stay[0]
    seatings = [(0.0, layout(kind, people), who)]
    for n in range(2 if people > 2 else 0):  # one leaves, and comes back
        left = who[:-1] if n == 0 else who
        seatings.append((round(seconds * (n + 1) / 3, 2), layout(kind, len(left)), left))
    theme = _Theme(rng)
    drawn = [theme.slide(n) for n in range(slides)]
    return SlideLecture(seed, seconds, faces, seatings, starts, drawn, fade=rng.choice([0.0, 0.0, 0.5]))


def faces_only(seed: int, faces: Sequence[Sequence[Picture]], seconds: float = 180.0) -> SlideLecture:
    """A gallery without slides, in which people leave and come, so that it is laid out again."""
    rng = random.Random(seed)
    pool = rng.sample(range(len(faces)), min(len(faces), rng.choice([2, 3, 4, 5, 7, 9, 12])))
    seatings, t = [(0.0, layout("gallery", len(pool)), pool)], 0.0
    while (t := t + rng.uniform(12, 30)) < seconds:
        count = rng.randint(max(1, len(pool) - 2), len(pool))
        seated = rng.sample(pool, count)
        seatings.append((round(t, 2), layout("gallery", count), seated))
    return SlideLecture(seed, seconds, faces, seatings)


def lecturer_page(face: Picture, t: float, seed: int) -> tuple[Picture, Box]:
    """A lecturer who walks before a wall with a poster and a shelf, filmed by a camera; and where the portrait is."""
    rng = random.Random(seed)
    page = np.full((SIZE[1], SIZE[0], 3), [rng.randrange(90, 200) for _ in range(3)], np.uint8)
    x = rng.randrange(60, 700)
    page[80:330, x : x + 360] = cv2.resize(_photos()[seed % len(_photos())], (360, 250))
    for n in range(30):
        left = 40 + n * 41
        cv2.rectangle(page, (left, 420), (left + 30, 560), [rng.randrange(20, 230) for _ in range(3)], -1)
    walk = 0.5 + 0.35 * math.tanh(3 * math.sin(0.11 * t + seed)) + 0.02 * math.sin(1.7 * t)
    height = rng.choice([240, 360, 520])
    portrait = _scaled(face, height / face.shape[0])
    h, w = portrait.shape[:2]
    left, top = int(walk * (SIZE[0] - w)), SIZE[1] - h + int(8 * math.sin(0.8 * t))
    top = min(top, SIZE[1] - h)
    page[top : top + h, left : left + w] = portrait
    noise = np.random.default_rng(int(1000 * t)).normal(0, 3, page.shape)
    light = 1 + 0.04 * math.sin(0.5 * t) + (0.15 if int(t / 31) % 2 else 0)  # a light is switched on and off
    return np.clip(page * light + noise, 0, 255).astype(np.uint8), (left, top, w, h)


class _Theme:
    """A template: colours, sizes, a logo, a footer."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        dark = rng.random() < 0.25
        self._paper = (28, 30, 46) if dark else rng.choice([(255, 255, 255), (250, 247, 240), (240, 244, 250)])
        self._ink = (230, 230, 235) if dark else rng.choice([(20, 20, 20), (40, 40, 70), (70, 70, 70)])
        self._accent = tuple(rng.randrange(30, 200) for _ in range(3))
        self._bar = rng.random() < 0.5
        self._logo = rng.random() < 0.5
        self._footer = rng.random() < 0.6
        self._size = rng.choice([26, 30, 36])
        self._animated = rng.random() < 0.5
        self._course = " ".join(rng.sample(WORDS, 4)).title()

    def slide(self, number: int) -> Slide:
        rng = self._rng
        kind = rng.choice(["bullets"] * 4 + ["chart", "table", "photo", "section", "film", "code"])
        title = " ".join(rng.sample(WORDS, rng.randint(1, 4))).capitalize()
        if kind == "section":
            page, draw = self._page(number, None)
            draw.text((120, 300), title, font=_font(64), fill=self._accent)
            return Slide([_bgr(page)])
        page, draw = self._page(number, title)
        if kind == "bullets":
            builds = []
            count = rng.randint(3, 6)
            for i in range(count):
                words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(4, 11)))
                draw.text((90, 150 + i * (self._size + 44)), f"• {words}", font=_font(self._size), fill=self._ink)
                builds.append(_bgr(page))
            return Slide(builds if self._animated else builds[-1:])
        if kind == "chart":
            for i in range(rng.randint(4, 9)):
                h = rng.randint(40, 420)
                draw.rectangle((140 + i * 110, 600 - h, 210 + i * 110, 600), fill=self._accent)
                draw.text((150 + i * 110, 605), rng.choice(WORDS)[:6], font=_font(18), fill=self._ink)
            draw.line((120, 600, 1180, 600), fill=self._ink, width=2)
        elif kind == "table":
            for row in range(8):
                for column in range(4):
                    text = rng.choice(WORDS) if column == 0 or row == 0 else f"{rng.uniform(0, 100):.2f}"
                    draw.text((100 + column * 270, 150 + row * 58), text, font=_font(24), fill=self._ink)
                draw.line((90, 195 + row * 58, 1150, 195 + row * 58), fill=self._accent, width=1)
        elif kind == "code":
            for row in range(12):
                text = " " * 4 * rng.randint(0, 2) + " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, 6)))
                draw.text((110, 140 + row * 42), text, font=_font(22), fill=self._ink)
        else:
            x, w = rng.choice([(80, 560), (640, 560), (200, 860)])
            if kind == "photo":
                picture = cv2.resize(_photos()[rng.randrange(len(_photos()))], (w, 420))
                page.paste(Image.fromarray(picture[..., ::-1]), (x, 160))
            if w < 800:
                for i in range(4):
                    words = " ".join(rng.choice(WORDS) for _ in range(3))
                    draw.text((740 - x + 0, 180 + i * 80), f"• {words}", font=_font(26), fill=self._ink)
            return Slide([_bgr(page)], (x, 160, w, 420) if kind == "film" else None)
        return Slide([_bgr(page)])

    def _page(self, number: int, title: str | None) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        page = Image.new("RGB", SIZE, self._paper)
        draw = ImageDraw.Draw(page)
        if self._bar:
            draw.rectangle((0, 0, SIZE[0], 16), fill=self._accent)
        if self._logo:
            draw.ellipse((1160, 30, 1230, 100), outline=self._accent, width=8)
            draw.text((1174, 48), "UNI", font=_font(24), fill=self._accent)
        if self._footer:
            draw.text((60, 680), self._course, font=_font(18), fill=self._ink)
            draw.text((1200, 680), str(number + 1), font=_font(18), fill=self._ink)
        if title is not None:
            draw.text((80, 50), title, font=_font(46), fill=self._accent if not self._bar else self._ink)
        return page, draw


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _bgr(page: Image.Image) -> Picture:
    return np.ascontiguousarray(np.asarray(page)[..., ::-1])


@cache
def _photos() -> list[Picture]:
    """Photographs without people that come with scikit-image."""
    found = [skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket(), skimage.data.immunohistochemistry()]
    return [np.ascontiguousarray(picture[..., ::-1]) for picture in found]


def _film(width: int, height: int, t: float, seed: int) -> Picture:
    """A moving picture: the camera pans over a photograph, with a cut every few seconds."""
    scene = int(t / 3.7) + seed
    photo = _photos()[scene % len(_photos())]
    big = np.asarray(cv2.resize(photo, (width * 3 // 2, height * 3 // 2)), np.uint8)
    x = round(width / 4 * (1 + math.sin(0.9 * t + seed)))
    y = round(height / 4 * (1 + math.sin(0.7 * t + 2 * seed)))
    return big[y : y + height, x : x + width]


def _scaled(picture: Picture, scale: float) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _draw_cursor(page: Picture, x: float, y: float) -> None:
    shape = np.array([[0, 0], [0, 20], [5, 16], [9, 24], [12, 22], [8, 14], [14, 14]], np.int32)
    tip = shape + np.array([int(x), int(y)], np.int32)
    cv2.fillPoly(page, [tip], (255, 255, 255))
    cv2.polylines(page, [tip], True, (0, 0, 0), 1)
