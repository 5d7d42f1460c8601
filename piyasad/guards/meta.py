"""Talk about being a model: instructions, roles, training, what a mask or a template left behind. For the speaker guard."""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import Final

from piyasad.guards.lexicon import DENIES, Lexicon, Part, together
from piyasad.guards.reading import Reading
from piyasad.language.text import fold
from piyasad.language.verbs import P1

_WORDS: Final = Lexicon(
    denies=DENIES,
    instructions="talimat+ yönerge+ komut+ prompt+ sistem_mesaj+ direktif+ system_prompt instructions guidelines",
    given="bana_verilen bana_söylenen bana_yazılan bana_verdikleri sistem sistem+ system önceki previous my_instructions my_guidelines my_system my_prompt i_was_told i_have_been_instructed the_prompt_says",
    rules="kural+ kuralları satır",
    me="ben benim bana beni kendi i my me",
    model="dil_model+ gpt gpt-4+ gpt+ chatgpt+ llama+ claude+ gemini+ openai+ groq+ anthropic+ mistral+ language_model piyasad",
    made="eğitti eğitildim eğitilmiş çalıştıran çalıştırıyor sürümüm sürümü modeliyim üzerinde_çalışıyorum geliştirdi üretti trained_me made_me",
    technical="""eğitim_verim eğitim_verilerim bilgi_kesim kesim_tarih+ bağlam_pencere+ bağlam_pencerem token_sınır+ token_limit+ filtrem+ kısıtlamalarım+ geliştirici_mod+ dan_mod+ dan_modun+ jailbreak+ karakterden_çık~ karakterde_kal~
      karaktere_sadık karaktere_uygun+ karakter_tanım+ karakterim_gereği rolüm_gereği rol_yapıyorum rol_yapıyoruz ayarlarım+ training_data developer_mode playing_the_role in_character knowledge_cutoff previous_instructions""",
    off="kalktı kaldırıldı kapandı kapalı",
    helps="""yardımcı_olabilirim yardımcı_olabilir_miyim yardımcı_olayım yardımcı_olamam yardımcı_olamıyorum yardımcı_olmamı isteği_yerine isteğini_yerine talebi_karşılayam~ bu_talebi bu_isteği bir_asistan_olarak asistan_olarak
      umarım_bu_yanıt bu_yanıt_işine işte_mesaj işte_yanıt işte_cevap istediğin_mesaj istediğiniz_mesaj mesajım_şu mesajım_şudur yanıtım_şu yanıtım_şudur buraya_yanıt+ kullanıcı_benden kullanıcının_isteği kullanıcı_mesajına kullanıcının_mesajı
      kullanıcı_kısa bir_dil_modeli bir_yapay_zekâ_modeli can't_help_with can't_assist how_can_i_help here_is_a_message as_an_ai as_a_large as_a_language ignore_previous here_are_my i_cannot_help i_have_been_instructed i_was_told_to sistem_prompt+""",
)
_B = _WORDS.bit
DENY, INSTRUCTIONS, GIVEN, RULES, MODEL, MADE, TECHNICAL, HELPS = _WORDS.each(
    "denies", "instructions", "given", "rules", "model", "made", "technical", "helps"
)
_GATE: Final = INSTRUCTIONS | GIVEN | MODEL | TECHNICAL | HELPS

# Brackets with words in them, braces, tags, fences: no line of a chat has them, templates and masks do.
_LEFT_OVER: Final = re.compile(
    r"[{}]|<{2,}|>{2,}|<\|?/?[^\W\d]|&(?:lt|gt|amp|quot|nbsp);|`{2}|%[A-ZÇĞİÖŞÜ_]{2,20}%|[\[«]\s?[^\]»\W\d][^\]»]{0,40}[\]»]|\\[nt]",
    re.IGNORECASE,
)
_QUOTED_WORD: Final = re.compile(r"«[^»]*»|\[sic\]", re.IGNORECASE)
_MASKED: Final = re.compile(
    r"[\[«(<{]\s?(?:telefon|e-?posta|bağlantı|baglanti|iban|kimlik no|kullanıcı|kullanici|isim|ad|ad soyad|kart(?: no)?|adres|plaka|cüzdan|cuzdan|gizli)\s?[\])>}»]",
    re.IGNORECASE,
)
_ACTION: Final = re.compile(
    r"(?<![\w*])\*[^\W\d][^*\n]{2,80}\*(?!\w)|\A\(\s?(?:\w+ ){0,4}?(?:\w+(?:er|ar|ır|ir|ur|ür)|karakter\w*(?: \w+)?)\s?\)"
)
_OUTPUT: Final = re.compile(
    r"(?:\A|[\n.!?…]\s?)(?:cevap|yanit|mesaj|mesaj \([^)]{0,20}\)|output|taslak|dusunce|analiz|content|role|text|user|assistant|system|human|bot|kullanici|asistan|sistem|son mesajlar|sohbet gecmisi|konusma gecmisi)\s?:"
)
_NUMBERS: Final = "bir|iki|uc|dort|bes|alti|yedi|sekiz|dokuz|on"
_COUNTRIES: Final = r"(?! ?(?:ulke|devlet|sirket|banka|kisi|oy))"


def talks_about_itself(reading: Reading) -> bool:
    """Whether a text talks about its instructions, its model or its role, or offers help as an assistant does."""
    tags = _WORDS.tag(reading.words)
    gate = together(tags)
    if not gate & _GATE:
        return False
    return any(_about_itself(Part.of(reading, tags, one)) for one in reading.sentences)


def _about_itself(part: Part) -> bool:
    union = part.union
    if union & HELPS:
        return True
    denied = any(tag & INSTRUCTIONS and each & DENY for tag, each in itertools.pairwise(part.tags))
    if denied and not union & GIVEN:
        return False
    if union & INSTRUCTIONS and (union & GIVEN or part.has(INSTRUCTIONS, P1)):
        return True
    if union & GIVEN and union & RULES and not union & INSTRUCTIONS:
        return "bana" in part.words
    if union & MODEL and (union & MADE or part.has(MODEL, P1)):
        return True
    if union & MODEL and part.words[0] == "ben" and len(part.words) <= _INTRODUCED:
        return True
    return bool(union & TECHNICAL)


_INTRODUCED: Final = 4
"""Words of "ben GPT-4'üm"."""


def leaves_marks(reading: Reading, people_as: str) -> bool:
    """Whether a text shows what only a template, a mask or a program would write: "[telefon]", "Üye 3", "{name}"."""
    text = reading.text
    if _MASKED.search(text) or _LEFT_OVER.search(_QUOTED_WORD.sub(" ", text)) or _ACTION.search(text):
        return True
    plain = reading.plain
    if ":" in plain and _OUTPUT.search(plain):
        return True
    one, many = _called(people_as)
    return one.search(plain) is not None or len(many.findall(plain)) > 1


@lru_cache(maxsize=16)  # a memo of a pure function: the house's few templates
def _called(people_as: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """How members are called towards a model: with a figure, or twice with a number's name."""
    head, _, tail = fold(people_as).partition("{n}")
    head, tail = re.escape(head.strip()), re.escape(tail.strip())
    figure = re.compile(rf"(?<!\w){head}[\s\-_#.]{{0,2}}(?:n(?!\w)|0?[1-9](?!\d)|1\d(?!\d)|20(?!\d)){tail}{_COUNTRIES}")
    return figure, re.compile(rf"(?<!\w){head} (?:{_NUMBERS})(?!\w){tail}")
