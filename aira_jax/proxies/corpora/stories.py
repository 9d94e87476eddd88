"""The built-in corpus: short stories put together from templates, the same for the same seed on every machine.

It stands in where no corpus is at hand, so that everything runs offline. Results on it say nothing about BabiStories or
DCLM, so that they carry the label `builtin` wherever they go.
"""

import random
from collections.abc import Iterator, Sequence

SIZE = 200_000  # bytes
SEED = 0

_NAMES = (
    "Ada", "Bruno", "Clara", "Dario", "Edda", "Felix", "Greta", "Hugo", "Ines", "Jonas",
    "Kira", "Luca", "Mila", "Nico", "Olga", "Paul", "Rosa", "Sami", "Tess", "Yann",
)  # fmt: skip
_ANIMALS = (
    "raven", "heron", "badger", "goat", "donkey", "magpie", "hedgehog", "squirrel", "beaver", "crane", "toad", "fox",
    "rabbit", "goose", "mouse", "wren",
)  # fmt: skip
_PLACES = (
    "the old mill", "the harbour", "the orchard", "a narrow valley", "the market square", "the lighthouse",
    "the edge of the forest", "a quiet lake", "the clock tower", "the top of the hill", "the vegetable garden",
)  # fmt: skip
_THINGS = (
    "kite", "lantern", "wooden boat", "brass key", "map", "basket", "drum", "blue scarf", "whistle", "ladder",
    "jar of honey", "pair of boots", "paper crown", "bell", "telescope",
)  # fmt: skip
_TRAITS = ("curious", "patient", "stubborn", "careful", "cheerful", "shy", "clever", "brave", "sleepy", "gentle")
_WEATHER = (
    "The rain had just stopped", "A cold wind came from the north", "The morning was bright and still",
    "Fog lay over the fields", "It was the first warm day of the year", "Snow had fallen during the night",
)  # fmt: skip
_LOSSES = (
    "rolled into a deep ditch", "was carried away by the stream", "got stuck between two stones",
    "vanished under a heap of leaves", "hung in the highest branch of a pear tree", "fell through a gap in the floor",
)  # fmt: skip
_TRIES = (
    "pulled with both hands", "looked under every stone", "called for help", "built a small bridge of sticks",
    "asked everyone on the road", "tied three ropes together", "sat down and thought for a while",
    "walked around it twice", "waited until the sun was high",
)  # fmt: skip
_FEELINGS = ("tired", "worried", "angry", "calm again", "a little sad", "full of hope", "very quiet")
_THANKS = (
    "shared a loaf of bread", "sang all the way home", "promised to meet again", "drew a picture of the day",
    "planted a tree on the spot", "told the story to everyone at supper",
)  # fmt: skip
_LESSONS = (
    "Two who help each other are faster than one who hurries.", "Asking is the shortest road.",
    "What is lost in a moment may take a day to find.", "A good friend has time.",
    "Those who listen hear where to look.", "Small hands can lift great things, one at a time.",
)  # fmt: skip


def stories(size: int = SIZE, seed: int = SEED) -> Iterator[str]:
    """Distinct stories of some 600 bytes each, until there are `size` bytes of them."""
    rng, told, written = random.Random(seed), set(), 0
    while written < size:
        story = _story(rng)
        if story not in told:
            told.add(story)
            written += len(story.encode())
            yield story


def _pick(rng: random.Random, options: Sequence[str]) -> str:
    return options[int(rng.random() * len(options))]  # random() alone is the same in every version of Python


def _two(rng: random.Random, options: Sequence[str]) -> tuple[str, str]:
    first = _pick(rng, options)
    return first, _pick(rng, [option for option in options if option != first])


def _story(rng: random.Random) -> str:
    (hero, friend), (place, other) = _two(rng, _NAMES), _two(rng, _PLACES)
    animal, thing, trait = _pick(rng, _ANIMALS), _pick(rng, _THINGS), _pick(rng, _TRAITS)
    age = 3 + int(rng.random() * 9)
    opening = _pick(
        rng,
        (
            f"{hero} was {age} years old and lived near {place}.",
            f"Near {place} lived a {trait} child called {hero}.",
            f"Once there was a {trait} {animal} whose best friend was {hero}.",
        ),
    )
    wish = _pick(
        rng,
        (
            f"More than anything {hero} loved a {thing} that {friend} had made.",
            f"One day {friend} gave {hero} a {thing}.",
            f'"Take the {thing} to {other}," said {friend}, "and bring it back before dark."',
        ),
    )
    loss = f"{_pick(rng, _WEATHER)} when the {thing} {_pick(rng, _LOSSES)}. {hero} was {_pick(rng, _FEELINGS)}."
    first, second = _two(rng, _TRIES)
    attempts = f"First {hero} {first}, but the {thing} was still gone. Then {hero} {second}."
    meeting = _pick(
        rng,
        (
            f'At {other} a {animal} looked up. "What do you look for?" asked the {animal}. "A {thing}," said {hero}.',
            f'A {animal} from {other} had seen it all. "I know where your {thing} is, {hero}," said the {animal}.',
            f'"Do not give up," said {friend}, who came along with a {animal}. "Three can look in three places."',
        ),
    )
    third, feeling = _pick(rng, _TRIES), _pick(rng, _FEELINGS)
    find = _pick(
        rng,
        (
            f"The {animal} {third}, and there it was: the {thing}.",
            f"Together they went to {place}. {hero} {third}, the {animal} held on, and the {thing} was free.",
            f"It took until evening, and {hero} was {feeling}, but in the end {friend} found the {thing}.",
        ),
    )
    ending = f"{hero} and the {animal} {_pick(rng, _THANKS)}. {_pick(rng, _LESSONS)}"
    return "\n".join((f"{opening} {wish}", f"{loss} {attempts}", meeting, f"{find} {ending}"))
