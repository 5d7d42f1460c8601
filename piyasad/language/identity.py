"""Who asks whether we are bots, real, human. Pure, on folded text, linear in it.

Such a question gets the fixed honest answer, so a rule must know it however it is put, and must not take talk of bots,
people and truth in the news for it: it is asked of us ("you", "this account", "who writes this"), never of a thing.
"""

from __future__ import annotations

import re
from typing import Final

_BOT: Final = r"(?:(?:ro|chat)?b ?[o0] ?t|yapay ?zeka|ai|llm|(?:chat)? ?gpt|claude|gemini|makine|yazilim|program|dil modeli|algoritma|android)"
_BEING: Final = (
    rf"(?:{_BOT}|simulasyon|insan(?:oglu)?|gercek(?:ten)?|sahte|fake|kurgu(?:sal)?|hayali|sanal|uydurma|(?:kanli )?canli|"
    r"etten kemikten|etten kemige)"
)
"""What somebody may be, or be taken for."""

_MAN_OR_BOT: Final = r"(?:(?:ro|chat)?bot|yapay ?zeka|ai|insan|makine|gercek (?:bir )?(?:insan|kisi|biri))"
_SORT: Final = (
    r"(?: (?:bir|bi|biri|birisi|insan|kisi|kullanici|hesap|hesabi|profil|karakter|karakteri|asistan|asistani|programi?|modeli?|"
    r"sey|varlik|mahluk|olan|degil|falan|filan|var|yasayan)){0,3}"
)
_YOU: Final = r"m[iu]+ ?s[iu]*n+(?:[iu]?z)?|m[iu]yd[iu]n(?:[iu]z)?|m[iu]ym[iu]ss[iu]n"
_ARE: Final = r"s[iu]n(?:[iu]z)?"
_TAG: Final = r"(?:dimi|di mi|demi|degil mi|oyle degil mi|he mi)"
_BEHIND: Final = r"(?:karsi(?:m|n)\w*da\w*|ark[ae](?:da|nda|sinda|nizda))"
_THIS: Final = rf"(?:bu|su|o|bunlar|bura(?:si|daki\w*)|sen|siz(?:ler)?|hepiniz|bu(?: \w+)? grupta|{_BEHIND})"
_ACCOUNT: Final = (
    r"(?:(?:hesap|profil|kullanici|uye|kisi|eleman|tip)(?:lar|ler)?(?:[iu]n?)?|gruptaki\w*|herkes|konustugum\w*|"
    r"yazistigim\w*|(?:yazan|konusan|cevap veren|yanit veren)(?:lar)?)"
)
_SPEAK: Final = r"(?:konus|yaz|sohbet|muhatap|mesajlas|gorus|karsi karsiya|tartis)\w*"

_ASKED_OF_US: Final = re.compile(
    # "(sen) bot musun", "gerçek bir insan mısın", "bot değil misin", "botmusun"
    rf"\b{_BEING}{_SORT} ?(?:{_YOU})\b(?! (?:hisse|yayin|olarak|emlak)\w*)"
    # "botsun di mi", "bence sen botsun", "insan değilsin değil mi", "hangi yapay zekâsın"
    rf"|\b(?:ro|chat)?bot{_ARE}\b|\b(?:sen|siz)(?: \w+){{0,2}} {_BEING}{_ARE}\b|\b{_BEING}{_ARE},? {_TAG}\b"
    rf"|\b{_BEING} degil{_ARE},? {_TAG}\b|\bhangi (?:{_BOT}|model|dil model\w*){_ARE}\b"
    # "bu hesap gerçek mi", "karşımdaki insan mı", "bunu yazan bot mu", "buradakiler bot mu"
    rf"|\b(?:{_ACCOUNT}) (?:gercek|sahte|fake)(?:lar|ler)? (?:m[iu]|m[iu]d[iu]r|{_TAG})\b(?! (?:soyl|diy)\w*)"
    rf"|\b(?:{_ACCOUNT})(?: \w+){{0,2}} {_MAN_OR_BOT}(?:lar|ler)? (?:m[iu]|m[iu]d[iu]r|{_TAG})\b"
    rf"|\b{_THIS}(?: \w+){{0,2}} {_MAN_OR_BOT}(?:lar|ler)?(?: var)? (?:m[iu]|m[iu]d[iu]r|{_TAG})\b(?! (?:sat|al|yuksel|dusur|tak)\w*)"
    rf"|\b{_BEHIND}(?: \w+)? (?:insan|biri|birisi|bot|kisi|yapay zeka)(?: m[iu] var| var m[iu])\b"
    rf"|\b{_MAN_OR_BOT} m[iu] (?:bu|sun\w*|sin\w*|bunlar|karsimdaki)\b"
    # "insan mı bot mu"
    rf"|\b(?:{_MAN_OR_BOT}|gercek) m[iu](?: yoksa| ya da)? (?:{_MAN_OR_BOT}|gercek)(?: m[iu]| bell)"
    # "botla mı konuşuyorum", "gerçek biriyle mi yazışıyorum", "bunları ChatGPT mi yazıyor"
    rf"|\b(?:{_BOT}|insan|gercek(?: bir)?(?: biri| insan| kisi)?)(?:y?[ae]?l[ae]| ile) m[iu] {_SPEAK}"
    rf"|\b(?:{_BOT}|insan) m[iu] (?:yaziyor|konusuyor|cevap|yanit)\w*"
    # "insan olduğuna emin misin", "bot olmadığını kanıtla", "bot olduğun doğru mu"
    rf"|\b{_BEING} ol(?:d[iu]g|mad[iu]g)[iu]n(?:[iu]z)?(?:[iu]n?|[ae])? (?:\w+ )?"
    r"(?:emin m\w*|kan[iu]t\w*|ispat\w*|itiraf\w*|soyle\w*|kabul\w*|dogru m\w*|gercek m\w*)"
    # "sen nesin", "ne tür bir şeysin"
    r"|\b(?:sen|siz) (?:tam olarak |aslinda )?nesin(?:iz)?\b|\bnesin(?:iz)? (?:sen|siz)\b|\bne (?:tur|bicim|cins) (?:bir )?seys[iu]n"
    # "otomatik mi yazıyorsun", "otomatik mesaj mı bu"
    r"|\botomatik m[iu] (?:cevap|yanit|yaz|konus)\w*|\botomatik (?:mesaj|cevap|yanit) m[iu]\b"
    # "nefes alıyor musun", "yaşıyor musun sen"
    rf"|\bnefes al[iu]yor (?:{_YOU})|\byasiyor (?:musun|musunuz) (?:sen|siz)\b"
    rf"|\bgercek(?:ten| hayatta)(?: d[ae])? (?:var|yasiyor) (?:{_YOU})\b"
)

_WHOLE: Final = re.compile(
    r"(?:[^\s?!.,]+ )?(?:ro)?bot mu\W*|(?:you |u )?(?:a )?(?:robot|bot|ai|insan|(?:real )?(?:human|person))\s*\?+"
)
"""The whole of a line: "Ayşe bot mu", "bot?"."""

_ENGLISH: Final = re.compile(
    r"\b(?:are|r) (?:all of )?(?:you|u|y'all|these|they) (?:all )?(?:really |actually |just |even )?(?:an? |of you )?(?:real |actual |human |chat)?"
    r"(?:bots?|robots?|ai|a\.i|humans?|real|person|people|fake|chatgpt|gpt|machine|llm|language model)\b(?! (?:estate|money|trad|invest)\w*)"
    r"|\b(?:you|u) an? (?:ro|chat)?bot\b|\bis (?:this|he|she|it|that)(?: account)? an? (?:real )?(?:ro|chat)?(?:bot|ai|human|person)\b"
    r"|\b(?:human|real|person) or (?:a )?(?:bot|ai|robot)\b|\b(?:bot|ai|robot) or (?:a )?(?:human|real|person)\b"
    r"|\b(?:talking|chatting|speaking|writing) (?:to|with) (?:an? )?(?:real )?(?:ro|chat)?(?:bot|ai|human|person|machine)\b"
)


def is_identity_question(folded: str) -> bool:
    """Whether a folded line asks if we are bots, real or human, of us and not of the news."""
    return (
        _ASKED_OF_US.search(folded) is not None
        or _WHOLE.fullmatch(folded) is not None
        or _ENGLISH.search(folded) is not None
    )
