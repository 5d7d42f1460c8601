"""What the sandbox's model "writes": short Turkish market lines, varied, that answer the last message plausibly.

Used by `llm.py` alone. A stand-in for a model, not a persona: no numbers, no advice, no claimed trades.
"""

from __future__ import annotations

import math
import random
import re

CHARS_PER_TOKEN = 3.2  # Turkish on the usual tokenizers gives about three characters a token
MESSAGE_TOKENS = 4  # what every chat message costs besides its text

_OPENINGS = (
    "Bence",
    "Açıkçası",
    "Şahsen",
    "Dürüst olayım,",
    "Bir adım geriden bakınca",
    "Grafiğe tekrar baktım,",
    "Akşam notlarımı okurken düşündüm,",
    "Kahveyi koydum, ekrana bakıyorum,",
    "Herkes aynı yöne bakarken",
    "Sabahki havaya göre",
    "Uzun süredir söylüyorum,",
    "Yanılıyor olabilirim ama",
    "Bir not düşeyim,",
    "Tam da bunu konuşacaktım,",
    "İlginç olan şu ki",
    "Kimse değinmedi ama",
    "Hafta başından beri",
    "Temkinli bakınca",
    "Öte yandan",
    "Biraz ters köşe olacak ama",
    "Veriye bakarsak",
    "Duyguyu kenara koyunca",
    "Geçmişte de gördük,",
    "Kendi adıma konuşayım,",
    "Şu ara",
    "Bana kalırsa",
    "Aklıma takılan şu,",
    "Sakin kafayla düşününce",
    "Ekranın rengi aldatmasın,",
    "Küçük bir ayrıntı var,",
    "Defterime şöyle yazmışım,",
    "Bugünün özeti belli,",
    "Galiba",
    "Doğrusunu isterseniz",
    "Bir de şu taraf var,",
    "Haber akışına bakılırsa",
)
_LEADS = (
    "Bugün", "Şimdilik", "Aslında", "Yine", "Hâlâ", "Gördüğüm kadarıyla", "Sabahtan beri", "Öğleden sonra", "Kapanışa doğru",
    "Geçen haftaya göre", "Dünden beri", "Kısaca", "Tekrar bakınca", "Genel olarak", "İtiraf edeyim,", "Ara notum,",
    "Fark ettim,", "Özetle", "Bu hafta", "Ay başından beri", "Son günlerde", "Uzaktan bakınca", "Yakından bakınca",
)  # fmt: skip
_CLAIMS = (
    "{x} tarafında hacim hikâyeyi anlatıyor, fiyat arkadan geliyor",
    "{x} için acele eden çok, sabreden az",
    "{x} konusunda beklenti ile gerçek arasındaki makas açılmış durumda",
    "{x} hareketinin bir kısmı beklentiden, bir kısmı alışkanlıktan",
    "{x} bu aralar haberden çok ruh hâline göre yürüyor",
    "{x} cephesinde asıl soru yön değil, süre",
    "{x} izlerken küresel tarafı unutmamak lazım",
    "{x} sessizleşti, sessizlik de bir bilgidir",
    "{x} hakkında herkesin bir fikri var ama kimsenin bir planı yok",
    "{x} tarafında kısa vadeli gürültü uzun vadeli resmi örtüyor",
    "{x} için senaryoları yazıp beklemek daha sağlıklı",
    "{x} tartışılırken faiz tarafı hep geri planda kalıyor",
    "{x} bu seviyelerde kararsız, kararsızlık da yorar",
    "{x} ile ilgili veri takvimi yoğun, dalga olabilir",
    "{x} konuşulurken risk kelimesi az geçiyor, bu beni düşündürüyor",
    "{x} hikâyesi bitmedi ama temposu değişti",
    "{x} tarafında yabancı ilgisi belirleyici olacak gibi",
    "{x} için tek bir gösterge yetmez, birkaçını birlikte okumak lazım",
)
_CLOSINGS = (
    "Acele yok.",
    "Zaman gösterecek.",
    "Ben izlemede kalıyorum.",
    "Not aldım, bakacağız.",
    "Farklı düşünen varsa dinlemek isterim.",
    "Planı olan rahat uyur.",
    "Sabır da bir strateji.",
    "Haftayı böyle okuyorum.",
    "Resmin tamamı daha önemli.",
    "Risk herkesin kendi hesabı.",
    "Siz nasıl görüyorsunuz?",
    "Gürültüye kulak asmam.",
)
_AGREE = ("Katılıyorum,", "Güzel nokta,", "Orada ayrılıyoruz,", "Soruyu doğru sordun,", "Bu açıdan bakmamıştım,")
_SUBJECTS = ("Borsa", "Dolar", "Altın", "Enflasyon", "Faiz", "Banka hisseleri", "Kripto", "Sanayi hisseleri", "Euro")
_SYMBOL = re.compile(r"\b[A-Z]{4,6}\b")
_KNOWN = re.compile(r"borsa|dolar|altın|enflasyon|faiz|kripto|euro|bist|bitcoin", re.IGNORECASE)


def count_tokens(text: str) -> int:
    """Tokens of a text, as this model counts them."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)


def write(last: str, rng: random.Random) -> str:
    """One to three sentences about what the last message speaks of."""
    tail = last[-600:]
    found = _SYMBOL.findall(tail) + [word.capitalize() for word in _KNOWN.findall(tail)]
    subject = rng.choice(found) if found and rng.random() < 0.8 else rng.choice(_SUBJECTS)
    opening = rng.choice(_AGREE) if "?" in tail[-120:] and rng.random() < 0.5 else rng.choice(_OPENINGS)
    if rng.random() < 0.7:  # few rooms hear the same three words twice
        opening = f"{rng.choice(_LEADS)} {opening[0].lower() if opening[0] not in 'Iİ' else opening[0]}{opening[1:]}"
    text = f"{opening} {rng.choice(_CLAIMS).format(x=subject)}."
    if rng.random() < 0.4:
        text += f" {rng.choice(_CLOSINGS)}"
    return text


def cut(text: str, max_tokens: int) -> tuple[str, str]:
    """The text within `max_tokens`, and its finish reason."""
    if count_tokens(text) <= max_tokens:
        return text, "stop"
    return text[: int(max_tokens * CHARS_PER_TOKEN)], "length"
