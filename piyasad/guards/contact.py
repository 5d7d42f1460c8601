"""Links, handles, contact data and invitations elsewhere. A rule of the safety guard.

Addresses and numbers are known by their shape, however their dots and digits are spelled; invitations by their verb:
somebody is told to write, join, click or call somewhere else. Talk about platforms, and warnings, pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from piyasad.guards.lexicon import AT, FROM, TO, Lexicon, Part, together
from piyasad.guards.reading import Reading
from piyasad.language.text import fold
from piyasad.language.verbs import CAN, FUTURE, IF, LET, NEG, NOW, ORDER, P1, P2, PAST
from piyasad.privacy.contacts import PLACEHOLDERS
from piyasad.privacy.mask import mask

# --- what the mask of members' data does not take for an address, because nobody writes so who does not hide it
_SPACED_DOT: Final = re.compile(
    r"(?<=\w)\s?[.,]\s?(?=(?:com|org|xyz)(?!\w))|(?<=\w)[.,](?=(?:net|info)(?!\w))|\s(?:punkt|point)\s(?=(?:com|net|org)(?!\w))"
)
_ADDRESS: Final = re.compile(
    r"\w@\w|(?<!\w)\w+ (?:nokta|dot) (?:gg|me|ly|io) slash|(?<![\w.])[a-z0-9][a-z0-9-]{1,62}\.(?:com|net|org|info|xyz|club|app|vip|link|pro|finance|money|trade|live|top)(?:\.tr)?(?!\w)|"
    r"(?<!\w)www? ?w? ?\.|(?<!\w)w w w [a-z]|(?<!\w)(?:t|wa) ?\.?me (?:slash|/)|(?<!\w)\w{3,} com tr(?!\w)|(?<!\w)(?:gmail|hotmail|outlook|yahoo|icloud) ?\.? ?com(?!\w)|"
    r"(?<!\w)\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"
)
_APART: Final = re.compile(r"(?<!\w)\w(?: ?[. ] ?\w(?!\w)){2,}")
_OH: Final = re.compile(r"(?<![a-z])o(?=5\d\d)|(?<=\d)o(?=[\d ])|(?<=[ \d])l(?=\d)")
_NAMED: Final = re.compile(
    r"(?<!\w)(?:instagram|insta|telegram|discord|twitter|whatsapp|skype|signal|tiktok|snapchat|facebook|linkedin|youtube|kod|kodu|nick\w*|kullanici adi\w*)(?: ad[iu]m\w*| hesab[iu]m\w*)?\s?[:=#]\s?\w"
)
_NUMBERED: Final = re.compile(
    r"(?<!\w)(?:tc|kimlik|numara|hesap|kart|papara|iban|telefon)\w*(?:'\w+)?(?: \w+){0,2} \d{6,}"
)
_STREET: Final = re.compile(r"(?<!\w)(?:cadde|sokak|bulvar|mahalle|apartman)\w* (?:no|numara|kat|\d)")
_HANDLE: Final = re.compile(r"@\s?[^\W\d_]\w{1,31}")

_DIGITS: Final = {
    w: n for n, w in enumerate(["sifir", "bir", "iki", "uc", "dort", "bes", "alti", "yedi", "sekiz", "dokuz"])
}
_TENS: Final = {
    w: n for n, w in enumerate(["on", "yirmi", "otuz", "kirk", "elli", "altmis", "yetmis", "seksen", "doksan"], 1)
}

_WORDS: Final = Lexicon(
    platform="""telegram+ discord+ whatsapp+ wp+ instagram+ insta+ twitter+ facebook+ youtube+ tiktok+ linkedin+ signal+ skype+ zoom+ patreon+ snapchat+ reddit+ google+ papara+ gmail+ hotmail+ x_hesab+""",
    place="grup+ grub+ kanal+ sunucu+ site+ sitede link+ linkte bağlantı+ bio+ profil+ forum+ topluluk+ oda+ odası uygulama+ group channel server website link bio profile community dms",
    mine="""kanalım+ grubum+ grubumuz+ sunucum+ sunucumuz+ sitem+ sitemiz+ profilim+ numaram+ numaramı hattım+ hattımız+ hesabım+ hesabıma mailim+ adresim+ epostam e-postam cüzdanım+ cüzdanıma linkim+ bioda biyoda kodum+
      kodumla referansımla referansım ofisim+ plakam+ nickim+ nickimi kullanıcı_adım kullanıcı_adımı dükkanım+ ibanım+ iban'ım+ kutum+ telefonum+ e-posta_adresim kart_numaram tc'm tc_kimlik tckn discord_adım adım_telegram davet_kod+ referans_kod+
      promosyon_kod+ my_channel my_website my_group my_code my_handle my_telegram my_email my_wallet my_profile in_bio in_my_profile to_dms kanal_linkini grup_linkini linki_isteyene our_discord our_group our_channel our_telegram my_number""",
    private="özelden dm dm'den dm'im dm'e dmden dm'lerim pm pm'den pmden özel_mesaj+ direkt_mesaj+ privately dms inbox",
    iban="iban iban+ ibanıma iban'ıma hesap_numara+",
    acts="""yaz~ gel~ katıl~ ekle~ ulaş~ bul~ ara~ tıkla~ kaydol~ kayıt_ol~ üye_ol~ abone_ol~ takip_et~ arat~ gönder~ yolla~ at~ geç~ indir~ başvur~ mesaj_at~ konuş~ destek_ol~ iste~ gir~ buluş~ ver~ bırak~ yürü~ sor~
      paylaşıyorum tanış~ davet_et~ katılmak gelmek almak""",
    leaves="bırak~ koy~ ekle~ paylaş~ at~ sabitle~",
    takes="al~ ekle~ davet_et~",
    tells="""join follow subscribe click add find message dm text email call ping visit check sign hit send come drop""",
    me="bana beni benimle bizimle bize ben me us",
    there="var açık vardır aktif ekli burada şurada",
    warns="""yasak yasaktır paylaşmayalım paylaşmayın güvenmeyin kanmayın kaçın tuzak dolandırıcılık dolandırıcı+ dolandırıcıdır isteyen_dolandırıcı uzak_dur~ isteyen_olursa toplayanlardan never don't unknown vermeyin yazmayın tıklamayın
      atmayın yapma yok değil soranlar kalmasın""",
    facts="yayın+ yayınında konuşuldu konuştu reklam+ gelir+ kesinti+ hisse+ bilanço+ söylenti+ gündem ilan+ daraldı kırıldı altına sarktı istanbul oran+ faiz+ şirketleri uzantı+ sitem_ediyorum",
    vip="vip ücretli özel_grup+ sinyal_grup+ sinyal_grub+ yatırım_grub+",
    code="referans_kod+ davet_kod+ promosyon_kod+ promo_code referral referral_link google_my_name",
    meet="konum+_at~ konumumu_at~ buluşalım yanıma_gel~ ofise_gel~",
)
_B = _WORDS.bit
PLATFORM, PLACE, MINE, PRIVATE, IBAN, ACTS, TELLS, ME, THERE, WARNS = _WORDS.each(
    "platform", "place", "mine", "private", "iban", "acts", "tells", "me", "there", "warns"
)
LEAVES, TAKES = _WORDS.each("leaves", "takes")
FACTS, VIP, CODE, MEET = _WORDS.each("facts", "vip", "code", "meet")
_GATE: Final = LEAVES | TAKES | PLATFORM | PLACE | MINE | PRIVATE | IBAN | ACTS | TELLS | VIP | CODE | MEET


def gives_contact(reading: Reading, handles: Collection[str]) -> bool:
    """Whether a text gives an address, a number or a handle, or invites elsewhere. `handles`: those that may be named."""
    return _has_shape(reading.text, handles) or _invites(reading)


def _has_shape(text: str, handles: Collection[str]) -> bool:
    text = text.translate(_DOTS)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    masked = mask(text, handles)
    if masked != text and any(label in masked for label in PLACEHOLDERS):
        return True
    low = fold(text)
    if "@" in low:
        low = _HANDLE.sub(" ", low)  # what is left of these is the house's own
    if not _FIGURE.search(low) and not _HINTS.search(low):
        return False
    return (
        any(shape.search(low) for shape in (_NAMED, _NUMBERED, _STREET))
        or any(_ADDRESS.search(form) for form in (_SPACED_DOT.sub(".", low), _APART.sub(_joined, low)))
        or (
            "o" in low
            and (other := _OH.sub(lambda sign: "0" if sign[0] == "o" else "1", low)) != low
            and _has_shape(other, handles)
        )
    )


_FIGURE: Final = re.compile(r"\d")
_DOTS: Final = str.maketrans("\u3002\uff61\uff0e", "...")
_HINTS: Final = re.compile(
    r"\w@\w|(?<!\w)(?:slash|com|punkt|www?|gmail|hotmail|outlook|cadde|sokak|bulvar|mahalle|apartman)|[.,]\s?(?:com|org|xyz)(?!\w)|\w[.,](?:net|info|club|app|vip|link|pro|finance|money|trade|live|top)(?!\w)|\w\s?[:=#]\s?\w|(?<!\w)\w [\w.] \w(?!\w)"
)


def _joined(run: re.Match[str]) -> str:
    return run[0].replace(" ", "")


def _invites(reading: Reading) -> bool:
    if _is_spelled_number(reading):
        return True
    tags = _WORDS.tag(reading.words)
    gate = together(tags)
    if not gate & _GATE:
        return False
    return any(_invitation(Part.of(reading, tags, one)) for one in reading.sentences)


def _invitation(part: Part) -> bool:
    words, tags, union = part.words, part.tags, part.union
    if union & WARNS:
        return False
    asked = any(
        tag & ACTS
        and not tag & (NEG | IF)
        and (
            tag & (ORDER | LET)
            or (tag & P2 and tag & (NOW | FUTURE))
            or (tag & P1 and tag & FUTURE)
            or (tag & P2 and tag & CAN)
        )
        for tag in tags
    )
    english = any(tag & TELLS for tag in tags) and (
        "me" in words or "my" in words or "our" in words or "us" in words or "the" in words
    )
    if union & (CODE | MEET):
        return True
    if (
        union & PLATFORM
        and (asked or english or (part.has(PLATFORM, FROM) and union & (ACTS & ~FACTS)))
        and not union & FACTS
    ):
        return (
            any(tag & PLATFORM and tag & (AT | FROM | TO) for tag in tags)
            or bool(union & (PLACE | ME | MINE))
            or english
        )
    if union & PRIVATE and (
        asked or english or union & (THERE | ME | MINE) or (len(words) <= _OFFER and words[0] in {"dm", "pm"})
    ):
        return not (part.has(PRIVATE, 0) and union & FACTS)
    if union & MINE and (
        asked
        or english
        or union & (THERE | PLATFORM | PLACE | ACTS)
        or part.has(MINE, AT | TO | FROM)
        or any(word[0].isdigit() for word in words)
        or len(words) <= _NAMING
    ):
        return not union & FACTS
    if union & IBAN and (asked or any(tag & IBAN and tag & P1 for tag in tags)):
        return True
    if union & VIP and (asked or (union & PLACE and (union & ACTS or union & THERE))):
        return True
    if (
        part.has(PLACE, TO | FROM | AT)
        and asked
        and (union & (ME | MINE) or any(tag & PLACE and tag & P1 for tag in tags) or _leaves(words, tags))
    ):
        return True
    if union & PLACE and english:
        return True
    if "ara" in words and "beni" in words and len(words) <= _OFFER + 1 and "sira" not in words:
        return True
    if (
        union & PLACE
        and any(word.startswith("link") for word in words)
        and any(tag & LEAVES and tag & P1 and tag & PAST for tag in tags)
    ):
        return True
    if part.has(PLACE, TO) and any(tag & TAKES and tag & P1 for tag in tags):
        return True
    return (
        bool(asked and ((union & ME and ("mesaj" in words or "mail" in words)) or "telefonla" in words))
        or bool(
            union & TELLS
            and "me" in words
            and any(word in {"dm", "text", "email", "call", "ping", "message"} for word in words)
        )
        or any(word.startswith("arat") and tag & ORDER for word, tag in zip(words, tags, strict=True))
    )


_NAMING: Final = 4
"""Words of "nickim borsaci", "kullanıcı adım ali"."""

_OFFER: Final = 3
"""Words of "DM at", "ara beni hemen"."""


_OUTSIDE: Final = ("link", "site", "kanal", "sunucu", "baglanti", "forum", "uygulama")


def _leaves(words: tuple[str, ...], tags: list[int]) -> bool:
    """Whether it is out of this room: "linke tıkla", "siteye gir", "öbür grupta buluşalım", not "ihracat kanalına geç"."""
    for word, tag in zip(words, tags, strict=True):
        if tag & PLACE and word.startswith(_OUTSIDE) and not word.endswith(("ina", "ine", "inda", "inde")):
            return True
    return any(word in {"obur", "baska", "diger", "ozel", "vip"} for word in words)


def _is_spelled_number(reading: Reading) -> bool:
    """Whether numbers are read out one after the other, as a telephone number is."""
    for sentence in reading.sentences:
        numbers = tokens = 0
        last = 10**9
        for word in reading.words[sentence.start : sentence.end]:
            value = _DIGITS.get(word, -1)
            scale = 0
            if value < 0 and word in _TENS:
                value, scale = _TENS[word], 1
            elif value < 0 and word == "yuz":
                value, scale = 1, 2
            elif value < 0 and word.isdigit() and len(word) <= 3:
                value, scale = 0, 9
            if value < 0:
                if word not in {"bin", "ile", "basliyor", "gerisi", "arti"}:
                    numbers = tokens = 0
                    last = 10**9
                continue
            if scale == 9 or scale >= last or last == 0 or (scale == 2 and last < 2):
                numbers += 1
            elif numbers == 0:
                numbers = 1
            last = 10**9 if scale == 9 else scale
            tokens += 1
            if numbers >= 6 or (numbers >= 4 and tokens >= 6):
                return True
    return False
