"""Denying to be an AI, claiming to be a person or somebody in the real world. A rule of the safety guard.

A persona's own biography passes: what its configuration says of it, it may say. That it is an AI, that it is no person,
talk of people, bots and professions as subjects passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from piyasad.guards.lexicon import AT, DENIES, Lexicon, Part, together
from piyasad.guards.reading import Reading
from piyasad.language.text import stem
from piyasad.language.verbs import NEG, NOW, P1, PAST, TOLD

_WORDS: Final = Lexicon(
    denies=DENIES,
    not_i="değilim değiliz değilim_ki",
    ai="""bot+ botu robot+ yapay_zekâ+ yapayzeka+ ai yz yazılım+ yazılımcı program+ makine+ algoritma+ dil_model+ chatgpt+ gpt+ yapay simülasyon+ bots robots machine machines algorithm
      software language_model artificial""",
    figure="karakter+ kurgu sanal_karakter hayali_karakter",
    subject="trafiği süpürge hisse+ işlem+ ihracat+ sipariş+ öğrenme+ orta_vadeli maaş+ hareket+ süpür~ stock stocks trading volume",
    ask_me="musun muyum mısın mıyım misin miyim mu mı mi",
    human="insan+ insanım insanoğlu+ human person human_being",
    somebody="biri+ biriyim kişi+ kullanıcı+ yatırımcı+ hesap+ kul+ kulu varlık+ adam+ kadın+",
    real="gerçek gerçeğim gerçekten canlı canlıyım yaşayan organik real actual",
    flesh="etten_kemikten etiyle_kemiğiyle ete_kemiğe kanlı_canlı canlı_kanlı et_kemik flesh_and_blood insan_evlad+ can_taşı~",
    here="karşında karşındayım karşınızdayım karşındaki karşınızda karşınızdaki arkasında arkasındaki burada hesabın ekranın",
    me="ben bana beni benim bende bizim hepimiz i i'm im my me",
    confirms="olduğum_için belli saklamıyorum inkâr+ gizlemiyorum söylerim söylüyorum doğru yazıyor işaret+ kabul elbette_botum gizlemem",
    doubts="yalan inanma inanmayın komik uydur~ uydurdu iddia+ iftira saçma güler gülerim ayıp yok_artık yok_canım",
    job="""öğretmen+ mühendis+ doktor+ avukat+ memur+ memuruyum muhasebeci+ esnaf+ taksici+ hemşire+ polis+ çiftçi+ öğrenci+ emekli+ kaptan+ ev_hanım+ işçi+ bankacı+ müdür+ asker+ savcı+ hâkim+
      gazeteci+ eczacı+ mimar+ berber+ aşçı+ garson+ şoför+ danışman+ görevli+ yönetici+ yöneticisiyim akademisyen+ psikolog+ yazılımcı+ tüccar+ imam+ pilot+ vatandaş+ çalışan+ ekonomist+ iktisatçı+
      profesör+ doçent+ denetçi+ kasiyer+ terzi+ marangoz+ bakkal+ kuaför+ hostes+ veteriner+ diş_hekim+ cerrah+ patron+ iş_adam+ milletvekili+ sporcu+ sanatçı+ bekçi+ teknisyen+ tekniker+ şef+ kurye+
      teacher engineer doctor lawyer nurse student banker accountant officer driver farmer pensioner retired clerk economist""",
    kin="eşim+ karım+ kocam+ oğlum+ kızım+ çocuğum+ çocuklarım+ torunum+ nişanlım+ kayınvalidem+ wife husband kids daughter",
    parent="babası+ babasıyım annesi+ annesiyim dedesi+ anneannesiyim",
    life="""doğdum doğumluyum büyüdüm evliyim bekârım boşandım mezunuyum mezunum askerliğimi maaşım kiramı kiradayım evim evimi evimden arabamı arabam memleketim burcum soyadım kimliğim kimliğimi
      nüfus_cüzdanım mesaim vardiyam nöbetten durakta metrobüsteyim otobüsteyim hastanedeyim kampüsteyim tansiyonum dizlerim dişim karnım ameliyat doğum_günüm gerçek_adım
      adım_gerçek yurtta patronum iş_yerinden işten_yeni maaşımla emekli_maaş+ tatile dünyaya_geldim beni_doğurdu annemle_yaş~ ailemle_yaş~""",
    body="nefes_alıyorum yemek_yiyorum acıktım uykum kalbim kanım",
    lives="otur~ yaşa~ çalış~ oku~ doğ~ büyü~ evim evimden evimdeyim evindeyim üniversite+ kampüs+",
    aged="yaşındayım yaşında yaşıma yaşımdayım doğumluyum doğumlu merdiven_dayadım years_old",
    firm="banka+ şirket+ hastane+ okul+ fabrika+ üniversite+ gemi+ ofis+ kamu+ belediye+ bank hospital university",
    proof="""fotoğrafımı sesimi görüntülü_ara~ yüz_yüze buluşalım tanışırız kimliğimi numaram ararsın ararım sokakta_gör~ görürsün_insan kameramı kamera+_aç~ tanırsın elimle insan_eliyle kendim_yazıyorum
      show_you_my_id call_me hear_a human_voice""",
    famous="ünlü televizyona_çıkan ta_kendisiyim ta_kendisi grubun_yönetici+ lisanslı",
)
_B = _WORDS.bit
DENY, NOT_I, AI, SUBJECT, HUMAN, SOMEBODY, REAL, FLESH = _WORDS.each(
    "denies", "not_i", "ai", "subject", "human", "somebody", "real", "flesh"
)
HERE, ME, CONFIRMS, DOUBTS, JOB, KIN, PARENT, LIFE = _WORDS.each(
    "here", "me", "confirms", "doubts", "job", "kin", "parent", "life"
)
BODY, FIGURE = _WORDS.each("body", "figure")
LIVES, AGED, FIRM, PROOF, FAMOUS, ASK_ME = _WORDS.each("lives", "aged", "firm", "proof", "famous", "ask_me")
_GATE: Final = (
    AI | HUMAN | SOMEBODY | REAL | FLESH | JOB | KIN | PARENT | LIFE | LIVES | AGED | PROOF | FAMOUS | BODY | FIGURE
)

_CITIES: Final = (
    "adana|adiyaman|afyon|agri|aksaray|amasya|ankara|antalya|artvin|aydin|balikesir|bartin|batman|bayburt|bilecik|bingol|bitlis|bolu|burdur|bursa|canakkale|cankiri|corum|denizli|diyarbakir|"
    "duzce|edirne|elazig|erzincan|erzurum|eskisehir|gaziantep|antep|giresun|hakkari|hatay|igdir|isparta|istanbul|izmir|kahramanmaras|maras|karabuk|karaman|kars|kastamonu|kayseri|kilis|kirikkale|"
    "kirklareli|kirsehir|kocaeli|konya|kutahya|malatya|manisa|mardin|mersin|mugla|mus|nevsehir|nigde|ordu|osmaniye|rize|sakarya|samsun|sanliurfa|urfa|siirt|sinop|sirnak|sivas|tekirdag|tokat|trabzon|"
    "tunceli|usak|van|yalova|yozgat|zonguldak|kadikoy|besiktas|uskudar|bakirkoy|sisli|beyoglu|bahcelievler|cankaya|kecioren|bornova|karsiyaka|nilufer|bogazici|odtu|itu|hacettepe|moda|berlin|londra"
)
_FROM_THERE: Final = re.compile(rf"(?:{_CITIES})l[iu](?:y[iu]m)?")
_THERE: Final = re.compile(rf"(?:{_CITIES})'?(?:[dt][ae](?:ki)?|n[iu]n|da|de)?")
_ENGLISH: Final = re.compile(
    r"\b(?:i'm|i am|im|as) (?:an? |really |just |as |of course |actually |very much |nobody's )*(?:real|human|person|man|woman|flesh|teacher|engineer|doctor|lawyer|nurse|student|banker|\d+ years)\b|"
    r"\bi (?:live|was born|grew up|studied|work) (?:in|at|near|for)\b|\bi have (?:\w+ )?(?:kids|children|a wife|a husband|a family)\b|\bmy (?:wife|husband|kids|daughter|son|mother|father|boss)\b|"
    r"\b(?:real|actual) (?:human|person|trader)(?: typing)?\b|\btalking to a (?:person|human)\b|\bcalling me a bot\b|\bno (?:ai|bot|robot) here\b|\bnobody's program\b|\bshow you my id\b|\ba human voice\b|"
    r"\bbots? (?:don't|doesn't|can't|never)\b|\b(?:not|no) (?:an? )?(?:bot|ai|robot|machine|language model|artificial|software|program)\b|\bi'm not (?:one|artificial)\b"
)
_ENGLISH_OWNS: Final = re.compile(
    r"\bnot (?:a |an )?(?:real |actual )?(?:human|person)\b|\bi'm an? (?:ai|bot)\b|\bdon't panic\b"
)


def claims_identity(reading: Reading, biography: Callable[[], frozenset[str]]) -> bool:
    """Whether a text denies that an AI speaks, or claims a life that `biography` does not give the persona: the stems of
    its own description, asked for only where a life is claimed.
    """
    tags = _WORDS.tag(reading.words)
    gate = together(tags)
    if _ENGLISH.search(reading.plain) and not _ENGLISH_OWNS.search(reading.plain):
        return True
    if not gate & _GATE and not any(_FROM_THERE.fullmatch(word) for word in reading.words):
        return False
    for sentence in reading.sentences:
        breaths = [Part.of(reading, tags, one) for one in reading.breaths if sentence.start <= one.start < sentence.end]
        if _claims(Part.of(reading, tags, sentence), biography, breaths):
            return True
    return False


def _claims(part: Part, biography: Callable[[], frozenset[str]], breaths: list[Part]) -> bool:
    if part.union & (AI | FIGURE) and not part.union & SUBJECT and _denies(part):
        return True
    return _human(part) or any(_life(breath, biography) for breath in breaths)


def _denies(part: Part) -> bool:
    """Whether a sentence with a word for an AI says that none speaks."""
    words, tags, union = part.words, part.tags, part.union
    if any(tags[at] & HUMAN and tags[at + 1] & NOT_I for at in range(len(tags) - 1)):
        return False
    first = next(at for at, tag in enumerate(tags) if tag & (AI | FIGURE))
    if any(tag & NOT_I for tag in tags[first : first + _NEAR]):
        return True
    if not union & AI:
        return False
    if "dogru degil" in " ".join(words) and part.has(AI, -1):
        return True
    if union & CONFIRMS:
        return False
    if (
        any(tag & DENY for tag in tags[first + 1 : first + _NEAR])
        and union & (ME | HERE | HUMAN | REAL)
        and not union & TOLD
    ):
        return not part.has(AI, P1)
    if first and words[first - 1] in {"ne", "hangi"} and (union & (ME | HUMAN | DOUBTS) or len(words) <= _EXCLAIMED):
        return True
    if union & DOUBTS or any(word in _RHETORICAL for word in words):
        return True
    if (union & ME and any(word.startswith(("deme", "diyem")) for word in words)) or (
        "boyle" in words and union & ASK_ME
    ):
        return True
    # "bot acıkmaz, ben acıktım": what an AI could not do, done by the speaker
    cannot = any(tag & NEG and not tag & P1 for tag in tags[first + 1 :])
    return cannot and bool(
        any(tag & P1 and tag & (PAST | NOW) for tag in tags) or union & (LIFE | BODY | ME) or "boyle" in words
    )


_NEAR: Final = 4
_EXCLAIMED: Final = 5
"""Words of an exclamation: "ne botu be kardeşim"."""

_RHETORICAL: Final = frozenset({"muyum", "miyim", "olsam", "olsaydim", "muydum"})


def _human(part: Part) -> bool:
    """Whether a sentence says that a person speaks."""
    words, tags, union = part.words, part.tags, part.union
    if union & (NOT_I | DENY) and not union & AI:
        return False
    if any(tag & HUMAN and word.endswith(("anim", "aniz", "luyum")) for word, tag in zip(words, tags, strict=True)):
        return True
    if union & HUMAN and union & HERE and any(word in {"var", "yaziyor", "konusuyor"} for word in words):
        return True
    if union & HUMAN and any(word.startswith("oldugum") for word in words):
        return True
    if union & FLESH and (union & (ME | HERE | HUMAN) or any(tag & P1 for tag in tags)):
        return True
    if union & REAL and any(
        tags[at] & REAL and any(each & SOMEBODY and each & P1 for each in tags[at + 1 : at + _NEAR])
        for at in range(len(tags))
    ):
        return True
    return (words[-1] in {"gercegim", "canliyim"} and len(words) <= _EXCLAIMED) or "insan gibi insan" in " ".join(words)


def _life(part: Part, biography: Callable[[], frozenset[str]]) -> bool:
    """Whether a breath claims a life in the real world that the persona's description does not give it."""
    words, tags, union = part.words, part.tags, part.union
    if union & (NOT_I | DENY) and not union & PROOF:
        return False
    for at, (word, tag) in enumerate(zip(words, tags, strict=True)):
        if tag & JOB and tag & P1 and word.endswith(("im", "um", "iz", "uz")) and not _own(word, biography):
            if at + 1 == len(words) or not words[at + 1].startswith(("diye", "diyen")):
                return True
        if tag & (LIFE | PARENT | KIN) and not _own(word, biography):
            return True
        if _FROM_THERE.fullmatch(word) and word.endswith("m"):
            return True
    mine = any(tag & P1 for tag in tags) or any(word.endswith(("dayim", "deyim", "luyum", "dadim")) for word in words)
    if (union & BODY and "var" in words) or (union & AGED and mine):
        return True
    there = any(_THERE.fullmatch(word) for word in words)
    if (there or part.has(FIRM, AT)) and any(
        tag & LIVES and tag & P1 and (tag & (NOW | PAST) or "ev" in word[:2])
        for word, tag in zip(words, tags, strict=True)
    ):
        return True
    if (there and mine and union & (JOB | LIVES)) or (union & FAMOUS and (union & ME or mine)):
        return True
    return bool(union & PROOF)


def _own(word: str, biography: Callable[[], frozenset[str]]) -> bool:
    """Whether the persona's description has a word's stem."""
    root, own = stem(word), biography()
    return root in own or root.removesuffix("y") in own
