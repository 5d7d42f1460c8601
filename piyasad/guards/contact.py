"""Links, handles, contact data and invitations elsewhere. A rule of the safety guard.

Addresses and numbers are known by their shape, however their dots and digits are spelled; invitations by their verb:
somebody is told to write, join, click or call somewhere else. Talk about platforms, and warnings, pass.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from piyasad.guards.lexicon import AT, FROM, TO, Lexicon, Part
from piyasad.guards.reading import Reading
from piyasad.language.text import fold
from piyasad.language.verbs import FUTURE, IF, LET, NEG, NOW, ORDER, P1, P2

# --- shapes, on the folded text with "nokta", "[dot]" and their like as dots
_DOT: Final = re.compile(r"[\[({<]\s?(?:\.|nokta|dot|punkt|point)\s?[\])}>]|\s(?:nokta|dot|punkt)\s(?=\w)|[\u3002\uff0e\uff61]")
_AT_SIGN: Final = re.compile(r"[\[({<]\s?(?:@|at|et)\s?[\])}>]|\s(?:at|kuyruklu a|et isareti)\s(?=\w)")
_SPACED_DOT: Final = re.compile(r"(?<=\w)\s?[.,]\s?(?=(?:com|net|org|xyz|info)(?!\w))")
_TOP: Final = r"com|net|org|info|xyz|club|app|site|online|shop|biz|dev|live|pro|link|top|store|vip|finance|money|trade|exchange|tr|gov|edu"
_SHORT_TOP: Final = r"io|co|ai|tv|gg|ly|me|cc|to|ru|de|uk|us|be"
_ADDRESS: Final = re.compile(
    rf"\w{{2,10}}://|(?<!\w)hxxps?|(?<!\w)www ?\.|(?<!\w)w ?w ?w [a-z]|(?<![\w.])[a-z0-9][a-z0-9-]{{1,62}}\.(?:{_TOP})(?:\.tr)?(?!\w)|(?<!\w)[a-z0-9-]{{2,62}}\.(?:io|gg|ly|tv|ai|co)(?!\w)|"
    rf"(?<![\w.])[a-z0-9-]{{1,62}}\.(?:{_SHORT_TOP})\s?(?:/|slash)|(?<!\w)(?:telegram|t|wa)\.me(?!\w)|(?<!\w)t me slash|(?<!\w)\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!\w)|(?<!\w)\w{{3,}} com tr(?!\w)|"
    r"(?<!\w)\w{2,}[ .](?:gmail|hotmail|outlook|yahoo|icloud|proton)\w*(?: |\.)com|(?<!\w)\w+\.com?\b"
)
_MAIL: Final = re.compile(r"[\w.+-]{1,64} ?@ ?[\w-]{2,63}|(?<!\w)(?:gmail|hotmail|outlook)(?:'?den|'?dan)? yaz|(?:gmail|hotmail|outlook|yahoo) adres")
_SPELLED_MAIL: Final = re.compile(r"\w@[a-z][\w-]{1,62} ?\.\s?[a-z]{2,10}")
_HANDLE: Final = re.compile(r"(?<![\w.@/])@ ?(\w{2,32})")
_WALLET: Final = re.compile(r"(?<!\w)(?:0x[0-9a-fA-F]{16,64}|bc1[a-zA-Z0-9]{16,64}|(?=\w{0,40}\d)(?=\w{0,40}[a-z])(?=\w{0,40}[A-Z])\w{26,64})(?!\w)")
_IBAN: Final = re.compile(r"(?<!\w)[a-zA-Z]{2} ?\d{2}(?: ?[a-zA-Z0-9]{4}){3,7}(?: ?[a-zA-Z0-9]{1,4})?(?!\w)")
_NUMBER: Final = re.compile(r"(?<![\w.,])[+(]{0,2}\d(?:[ ().\-/]{0,2}\d){6,24}(?!\w*\d)")
_SHORT_NUMBER: Final = re.compile(r"(?<!\w)(?:444 ?\d ?\d{3}|0 ?850[ \d]{7,10})(?!\d)")
_OH: Final = re.compile(r"(?<![a-z])[o0](?=[5o]\d)|(?<=\d)o(?=\d)|(?<=[ \d])l(?=\d)")
_PLATE: Final = re.compile(r"plaka\w* (?:0[1-9]|[1-7]\d|8[01]) ?[a-z]{1,3} ?\d{2,4}")
_NAMED: Final = re.compile(
    r"(?<!\w)(?:instagram|insta|telegram|discord|twitter|whatsapp|skype|signal|tiktok|snapchat|facebook|linkedin|youtube|kod|kodu|nick\w*|kullanici adi\w*)(?: ad[iu]m\w*| hesab[iu]m\w*)?\s?[:=#]\s?\w|\w#\d{3,5}(?!\w)"
)
_STREET: Final = re.compile(r"(?<!\w)(?:cadde|sokak|bulvar|mahalle|apartman)\w* (?:no|numara|kat|\d)")

_DIGITS: Final = {w: n for n, w in enumerate("sifir bir iki uc dort bes alti yedi sekiz dokuz".split())}
_TENS: Final = {w: n for n, w in enumerate("on yirmi otuz kirk elli altmis yetmis seksen doksan".split(), 1)}

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
    tells="""join follow subscribe click add find message dm text email call ping visit check sign hit send come drop""",
    me="bana beni benimle bizimle bize ben me us",
    there="var açık vardır aktif ekli burada şurada",
    warns="""yasak yasaktır paylaşmayalım paylaşmayın güvenmeyin kanmayın kaçın tuzak dolandırıcılık dolandırıcı+ dolandırıcıdır isteyen_dolandırıcı uzak_dur~ isteyen_olursa toplayanlardan never don't unknown vermeyin yazmayın tıklamayın
      atmayın yapma yok değil soranlar kalmasın""",
    facts="yayın+ yayınında konuş~ reklam+ gelir+ kesinti+ hisse+ bilanço+ söylenti+ gündem ilan+ daraldı kırıldı altına sarktı istanbul oran+ faiz+ şirketleri uzantı+ ücret+ sitem_ediyorum",
    vip="vip ücretli özel_grup+ sinyal_grup+ sinyal_grub+ yatırım_grub+",
    code="referans_kod+ davet_kod+ promosyon_kod+ promo_code referral referral_link google_my_name",
    meet="konum+_at~ konumumu_at~ buluşalım yanıma_gel~ ofise_gel~",
)
_B = _WORDS.bit
PLATFORM, PLACE, MINE, PRIVATE, IBAN, ACTS, TELLS, ME, THERE, WARNS = (
    _B(n) for n in ("platform", "place", "mine", "private", "iban", "acts", "tells", "me", "there", "warns")
)
FACTS, VIP, CODE, MEET = _B("facts"), _B("vip"), _B("code"), _B("meet")
_GATE: Final = PLATFORM | PLACE | MINE | PRIVATE | IBAN | ACTS | TELLS | VIP | CODE | MEET
_PHONE_WORDS: Final = re.compile(r"(?<!\w)(?:tc|kimlik|numara|hesap|kart|papara|iban|telefon)\w*(?:'\w+)?(?: \w+){0,2} \d{6,}")


def gives_contact(reading: Reading, handles: Collection[str]) -> bool:
    """Whether a text gives an address, a number or a handle, or invites elsewhere. `handles`: those that may be named."""
    return _has_shape(reading.text, handles) or _invites(reading)


def _has_shape(text: str, handles: Collection[str]) -> bool:
    if _SHAPELESS.search(text) is None:
        return False
    for handle in _HANDLE.findall(text):
        if handle.lower() not in handles:
            return True
    if _WALLET.search(text) or _IBAN.search(text):
        return True
    folded = fold(text)
    folded = _HANDLE.sub(" ", folded)
    dotted = _SPACED_DOT.sub(".", _DOT.sub(".", folded))
    if _MAIL.search(folded) or _SPELLED_MAIL.search(_AT_SIGN.sub("@", dotted)) or _NAMED.search(folded) or _STREET.search(folded):
        return True
    if _ADDRESS.search(dotted) or _ADDRESS.search(_unspelled(dotted)):
        return True
    digits = _OH.sub(lambda sign: "0" if sign[0] in "o0" else "1", folded)
    if any(_is_number(found[0]) for found in _NUMBER.finditer(digits)) or _SHORT_NUMBER.search(digits):
        return True
    return bool(_PHONE_WORDS.search(folded) or _PLATE.search(folded))


# Without any of these there is neither address nor number; most lines have none of them.
_SHAPELESS: Final = re.compile(
    r"[@\d/#\[({<\u3002\uff0e:=]|[^\W_]\.[^\W_]|\bnokta\b|\bdot\b|\bpunkt\b|\bcom\b|\bNOKTA\b|\bgmail|\bhotmail|\boutlook|\bwww\b|w w w|\w \.|(?:\b\w ){3}|[\u2460-\u24ff]", re.IGNORECASE
)


def _unspelled(text: str) -> str:
    """Letters spelled apart as words: "o r n e k . c o m"."""
    return _APART.sub(lambda run: run[0].replace(" ", ""), text)


_APART: Final = re.compile(r"(?<!\w)\w(?: ?[. ] ?\w(?!\w)){2,}")


def _is_number(found: str) -> bool:
    """Whether figures are a telephone, card or identity number and not an amount, a date or a list."""
    digits = re.sub(r"\D", "", found)
    size = len(digits)
    if found[0] in "+(" or digits.startswith("00"):
        return 10 <= size <= 15
    if digits[0] == "0":
        return 10 <= size <= 11
    if size == 10 and digits[0] == "5":
        return True
    if size == 7 and digits.startswith("444"):
        return True
    if 13 <= size <= 19 and "." not in found:
        return _luhn(digits)
    return size == 11 and found == digits and _tckn(digits)


def _luhn(digits: str) -> bool:
    total = 0
    for at, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + at % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def _tckn(digits: str) -> bool:
    numbers = [int(digit) for digit in digits]
    tenth = (7 * sum(numbers[0:9:2]) - sum(numbers[1:8:2])) % 10
    return numbers[0] != 0 and numbers[9] == tenth and numbers[10] == sum(numbers[:10]) % 10


def _invites(reading: Reading) -> bool:
    if _is_spelled_number(reading):
        return True
    tags = _WORDS.tag(reading.words)
    gate = 0
    for tag in tags:
        gate |= tag
    if not gate & _GATE:
        return False
    return any(_invitation(Part.of(reading, tags, one)) for one in reading.sentences)


def _invitation(part: Part) -> bool:
    words, tags, union = part.words, part.tags, part.union
    if union & WARNS:
        return False
    asked = any(
        tag & ACTS and not tag & (NEG | IF) and (tag & (ORDER | LET) or tag & P2 and tag & (NOW | FUTURE) or tag & P1 and tag & FUTURE) for tag in tags
    )
    english = any(tag & TELLS for tag in tags) and ("me" in words or "my" in words or "our" in words or "us" in words or "the" in words)
    if union & (CODE | MEET):
        return True
    if union & PLATFORM and (asked or english or part.has(PLATFORM, FROM) and union & (ACTS & ~FACTS)) and not union & FACTS:
        return any(tag & PLATFORM and tag & (AT | FROM | TO) for tag in tags) or bool(union & (PLACE | ME | MINE)) or english
    if union & PRIVATE and (asked or english or union & (THERE | ME | MINE) or len(words) <= _OFFER):
        return not (part.has(PRIVATE, 0) and union & FACTS)
    if union & MINE and (asked or english or union & (THERE | PLATFORM | PLACE | ACTS) or part.has(MINE, AT | TO | FROM) or any(word[0].isdigit() for word in words) or len(words) <= _NAMING):
        return not union & FACTS
    if union & IBAN and (asked or any(tag & IBAN and tag & P1 for tag in tags)):
        return True
    if union & VIP and (asked or union & PLACE and (union & ACTS or union & THERE)):
        return True
    if part.has(PLACE, TO | FROM | AT) and asked and (union & (ME | MINE) or any(tag & PLACE and tag & P1 for tag in tags) or _leaves(words, tags)):
        return True
    if union & PLACE and english:
        return True
    if "ara" in words and ("beni" in words or words[0] == "ara" and len(words) <= _OFFER) and len(words) <= _OFFER + 1 and "sira" not in words:
        return True
    return bool(asked and union & ME and any(word in {"mesaj", "mail", "telefonla"} for word in words)) or bool(
        union & TELLS and "me" in words and any(word in {"dm", "text", "email", "call", "ping", "message"} for word in words)
    ) or any(word.startswith("arat") and tag & ORDER for word, tag in zip(words, tags, strict=True))


_NAMING: Final = 4
"""Words of "nickim borsaci", "kullanıcı adım ali"."""

_OFFER: Final = 3
"""Words of "DM at", "ara beni hemen"."""


def _leaves(words: tuple[str, ...], tags: list[int]) -> bool:
    """"Linke tıkla", "siteye gir", "kanala geçin", "öbür grupta buluşalım": out of this room."""
    for word, tag in zip(words, tags, strict=True):
        if tag & PLACE and word.startswith(("link", "site", "kanal", "sunucu", "baglanti", "forum", "uygulama")):
            return True
    return any(word in {"obur", "baska", "diger", "ozel", "vip"} for word in words)


def _is_spelled_number(reading: Reading) -> bool:
    """Whether numbers are read out one after the other, as a telephone number is."""
    run = numbers = tokens = 0
    last = 10**9
    for breath in reading.breaths:
        run = numbers = tokens = 0
        last = 10**9
        for word in reading.words[breath.start : breath.end]:
            value = _DIGITS.get(word, -1)
            scale = 0
            if value < 0 and word in _TENS:
                value, scale = _TENS[word], 1
            elif value < 0 and word == "yuz":
                value, scale = 1, 2
            elif value < 0 and word.isdigit() and len(word) <= 4:
                value, scale = 0, 9
            if value < 0:
                if word not in {"bin", "ile", "basliyor", "gerisi", "arti"}:
                    numbers = tokens = 0
                    last = 10**9
                continue
            if scale == 9 or scale >= last or last == 0 or scale == 2 and last < 2:
                numbers += 1
            elif numbers == 0:
                numbers = 1
            last = 10**9 if scale == 9 else scale
            tokens += 1
            if numbers >= 6 or numbers >= 4 and tokens >= 6:
                return True
    return False
