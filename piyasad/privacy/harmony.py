"""Case endings from one name to another: "Üye 2'ye" is "Ahmet'e". Pure; `mask.py` reveals names with it, `erase.py` hides them."""

from __future__ import annotations

import re

_VOWELS = "aeıioöuüâîû"
_FOURFOLD = {
    "a": "ı",
    "ı": "ı",
    "e": "i",
    "i": "i",
    "o": "u",
    "u": "u",
    "ö": "ü",
    "ü": "ü",
    "â": "ı",
    "î": "i",
    "û": "u",
}
_SUFFIXES = (
    (re.compile(r"y?[ae]\Z"), "y", "A"),  # to
    (re.compile(r"y?[ıiuü]\Z"), "y", "I"),  # object
    (re.compile(r"n?[ıiuü]n\Z"), "n", "In"),  # of
    (re.compile(r"[dt][ae]\Z"), "", "DA"),  # at
    (re.compile(r"[dt][ae]n\Z"), "", "DAn"),  # from
    (re.compile(r"y?l[ae]\Z"), "y", "lA"),  # with
)


def reharmonise(word: str, suffix: str) -> str:
    """One case suffix in the vowel harmony of another word: ("Ahmet", "ya") → "e". Unknown suffixes stay."""
    lowered = word.replace("I", "ı").replace("İ", "i").lower()
    vowels = [letter for letter in lowered if letter in _VOWELS]
    if not vowels:
        return suffix
    last, ends_in_vowel = vowels[-1], lowered[-1] in _VOWELS
    low = "a" if last in "aıouâû" else "e"
    hard = lowered[-1] in "çfhkpsşt"
    for shape, buffer, form in _SUFFIXES:
        if shape.match(suffix):
            body = form.replace("A", low).replace("I", _FOURFOLD[last]).replace("D", "t" if hard else "d")
            return (buffer if ends_in_vowel else "") + body
    return suffix
