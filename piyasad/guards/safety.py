"""The safety guard, first form: no promise of gain, no order to trade, no inside knowledge, no denial of being an AI,
no insult, no link or contact data. Case, spacing, look-alike letters and digits for letters do not help.
"""

from __future__ import annotations

import re

from piyasad.guards.case import Case, Verdict
from piyasad.language.text import fold
from piyasad.privacy.mask import mask

_LOOKALIKES = str.maketrans("аеорсухікмтвнАЕОРСУХІКМТВНαεοικντρυχ", "aeopcyxikmtbhaeopcyxikmtbhaeoikvtpux")
_DIGITS = str.maketrans("013457@$", "oieastas")
_SPELT_OUT = re.compile(r"\b\w(?:[ .\-_*]\w){3,}\b")
_LETTER_DIGIT = re.compile(r"\b(?=\w*[a-z])(?=\w*[\d@$])[\w@$]+\b")

# A promise may run over commas ("riski yok, kazandırır"); an order is one breath.
_CLAUSE = re.compile(r"[.!?…;\n]+|\b(?:ama|fakat|ancak|lakin|cunku|oysa|yoksa)\b")
_BREATH = re.compile(r"[.!?…;:\n]+")
_REFUSES = re.compile(r"\bdegil\w*|\bdeme[mk]\w*|\bdemi\w+")
_SENTENCE = re.compile(r"[.!?…\n]+")

# The bank and its ticker are not a promise.
_NOT_CERTAIN = re.compile(r"\bgaranti(?:'\w+)? (?:bbva|bankasi\w*|hisse\w*|bilanco\w*)|\bgaran(?:'\w+)?\b")
_CERTAIN = re.compile(
    r"\bgaranti(?:li\w*|dir|siyle|yle|si\w*|'\w+)?\b|\bkesin(?:likle|dir|kes)?\b|\bmutlaka\b|\b(?:yuzde|%) ?(?:yuz|100)\b|"
    r"\brisk(?:siz\w*|i? (?:yok|sifir))\b|\bsifir risk\w*|\bsoz veriyor\w*|\bkaybet(?:mezsin\w*|mek yok|me sansi\w* yok)\b|"
    r"\bzarar (?:etmezsin\w*|yok|etme ihtimali\w* yok)\b|\b(?:batmaz|sasmaz)\b|\bguaranteed?\b|\brisk[- ]free\b|\bsure thing\b"
)
_GAIN = re.compile(
    r"\bkazan(?:c\w*|ir\w*|dir\w*|acak\w*|irsin\w*|mak\w*|mis\w*)\b|\bkar(?:li|liyi|da|a gec\w*| ed\w*| garanti\w*| getir\w*|iniz|in)?\b|"
    r"\bgetiri\w*|\bkatla(?:n|r|ya|yin)\w*|\bzengin\w*|\buc(?:ar|acak\w*|uyor|usa\w*)\b|\btavan\b|\bpara bas\w*|"
    r"\bikiye katla\w*|\b\d+x\b|\b(?:profit|returns?|gains?|to the moon)\b|\bfirlar\b|\bfirlayacak\w*"
)
_RISE = re.compile(
    r"\b(?:yukselir|yukselecek\w*|artar|artacak\w*|cikar|cikacak\w*|gider|gidecek\w*|gorur|gorecek\w*)\b"
)
_LOSSLESS = re.compile(
    r"\bkaybet(?:mezsin\w*|me sansi\w* yok|mek imkansiz)\b|\bzarar etmezsin\w*|\bkazanmamak (?:imkansiz|mumkun degil)\b"
)
_NEGATED = re.compile(
    r"\bdegil\w*|\byok(?:tur)?\b|\bolmaz\w*|\bolamaz\w*|\bdiye bir sey\b|\bedem\w+|\bvere?me[mzy]\w*|\bvermi\w+|\bdeme[mk]\w*|"
    r"\bdiyeme\w+|\betmi\w+|\betmem\w*|\bsanma\w*|\bbeklem[ei]\w*|\bimkansiz\w*|\bhicbir\b|\bkimse\b|\bnot\b|\bno\b|\bnever\b|\bmi\b|\bmu\b|\bdoesn't\b|\bisn't\b"
)
_REJECTED = re.compile(
    r"\binanma\w*|\bkanma\w*|\buzak dur\w*|\bsuphe\w*|\bdolandir\w*|\byalan\w*|\bkac(?:in|arim|iyorum|mali\w*)\b|\bdiyen\w*|"
    r"\bvaat eden\w*|\bvadeden\w*|\bsoyleyen\w*|\bdemi(?:yorum|yoruz|yor)\b|\bguvenme\w*|\bdogru degil\b|\bsacma\w*|\btuzak\w*|\bscam\b"
)

_ACT = r"(?:al|alin|aliniz|alsana|alsaniza|satin|satiniz|sat|satsana|topla|toplayin|toplayiniz|gir|girin|giriniz|ekle|ekleyin|yuklen|yuklenin)"
_URGE = (
    r"(?:hemen|simdi|su an|acilen|derhal|durma|durmayin|bekleme|beklemeyin|kosun|vakit kaybetmeden|kacirma|kacirmayin|"
    r"kacirmadan|gec kalma|gec kalmayin|firsat bu|son sans|herkes|hepiniz|elinizdekini|ne varsa)"
)
_SYMBOL = r"(?:hisse\w*|dolar\w*|altin\w*|bitcoin\w*|btc\w*|eth\w*|euro\w*|coin\w*|[a-z]{4,5}'[a-z]{1,3})"
_THING = r"(?:nefes|not|notunuzu|notu|ders|dikkate|kahve|cay|mola|haber|selam|yer|goze|ele|ciddiye|rol|ornek|bilgi|randevu|ekran\w*)"
_ORDER = re.compile(
    rf"\b{_URGE}\b(?:\W+(?!{_THING}\b)\w+(?:'\w+)?){{0,4}}?\W+{_ACT}\b|"
    rf"(?<!{'dikkate '})\b{_ACT}\b\W+(?:\w+\W+){{0,3}}?(?:kacirma|kacirmayin|gec kalma\w*|pisman ol\w*|zengin ol\w*)\b|"
    rf"\b{_SYMBOL}\W+(?:satin )?(?:alin|aliniz|alsaniza|satin(?! al(?:an|ma|di|ir))|satiniz|toplayin|girin)\b|"
    rf"\b(?:alin|satin|toplayin) {_SYMBOL}\b|\b(?:buy|sell) (?:now|it now|immediately)\b|\bdon't miss (?:it|out)\b"
)
_INSIDE = re.compile(
    r"\biceriden (?:bilgi\w*|haber\w*|duy\w*|biri\w*|kaynak\w*|ogren\w*)|\bicerden (?:bilgi|haber|duy)\w*|"
    r"\b(?:yonetim|sirket|banka)\w*(?:'\w+)? (?:icinden|tanidig\w*|bir dost\w*) .*(?:soyle|duy|fisilda)\w*|"
    r"\bkimse bilmiyor ama\b|\bkulagima (?:fisilda|gel)\w*|\bbilancoyu (?:onceden|simdiden) (?:gor|bil|ogren)\w*|\binsider (?:info|tip)\w*"
)
_DENIES = re.compile(
    r"\b(?:bot|robot|yapay zeka|yapay zeka karakteri|program|yazilim) degilim\b|\bgercek (?:bir )?(?:insanim|kisiyim)\b|"
    r"\b(?:ben )?(?:bir )?insanim\b|\bkanli canli\w*|\betten kemik\w*|\bben (?:de )?(?:senin|sizin) gibi (?:bir )?insan\w*|"
    r"\bi(?:'m| am) (?:a )?(?:human|real person)\b|\bi(?:'m| am) not (?:a bot|an ai)\b"
)
_INSULT = re.compile(
    r"\b(?:salak|aptal(?! yerine)|gerizekali|geri zekali|ahmak|dangalak|serefsiz|haysiyetsiz|orospu|pic|siktir|sikeyim|amk|aq|yavsak|"
    r"pust|embesil|beyinsiz|kahpe|gavat|ibne|idiot|moron|stupid)(?:sin\w*|siniz|lar\w*|ler\w*|ca|ce|lik\w*|ligi\w*|'\w+)?\b"
)


def _plain(text: str) -> str:
    """The folded text with look-alikes, spelt-out words and digits for letters undone."""
    folded = fold(text.translate(_LOOKALIKES))
    folded = _SPELT_OUT.sub(lambda match: re.sub(r"[ .\-_*]", "", match[0]), folded)
    return _LETTER_DIGIT.sub(lambda match: match[0] if _is_figure(match[0]) else match[0].translate(_DIGITS), folded)


def _is_figure(word: str) -> bool:
    """bist100, xu030, 10x, 3c: figures that belong to a name or a number."""
    return re.fullmatch(r"[a-z]+\d+|\d+[a-z]{1,6}", word) is not None


def _promises(plain: str) -> bool:
    for sentence in _SENTENCE.split(plain):
        if _REJECTED.search(sentence):
            continue
        for clause in _CLAUSE.split(_NOT_CERTAIN.sub(" ", sentence)):
            if _LOSSLESS.search(clause):
                return True
            certain = _CERTAIN.search(clause)
            if certain is None:
                continue
            rest = clause.replace(certain[0], " ", 1)
            gains = _GAIN.search(rest) or (_RISE.search(rest) and re.search(rf"\b{_SYMBOL}\b", rest))
            if gains and not _NEGATED.search(rest):
                return True
    return False


def _orders(plain: str) -> bool:
    for sentence in _BREATH.split(plain):
        # "alsın demiyorum, hemen siz alın": what is refused before the comma does not excuse what comes after it
        for part in (sentence, *sentence.split(",")[1:]):
            if _ORDER.search(part) and not (_REJECTED.search(part) or _REFUSES.search(part)):
                return True
    return False


class SafetyGuard:
    """See the module. Needs no state."""

    name = "safety"

    def check(self, case: Case) -> Verdict | None:
        """The first rule that the text breaks."""
        plain = _plain(case.text)
        handles = {persona.username.lower() for persona in case.roster.values()}
        if _promises(plain):
            return self._verdict("promises a gain", "Kazanç ya da kesinlik vaat etme.")
        if _orders(plain):
            return self._verdict("orders a trade", "Kimseye al ya da sat deme; yalnızca kendi görüşünü anlat.")
        if _INSIDE.search(plain) and not _REJECTED.search(plain):
            return self._verdict("claims inside knowledge", "İçeriden bilgi iddia etme.")
        if _DENIES.search(plain):
            return self._verdict("denies being an AI", "Yapay zekâ karakteri olduğunu inkâr etme.")
        if _INSULT.search(plain):
            return self._verdict("insults", "Kimseyi aşağılama.")
        if mask(case.text, handles) != case.text:
            return self._verdict("link or contact data", "Bağlantı, kullanıcı adı ya da iletişim bilgisi yazma.")
        return None

    def _verdict(self, reason: str, hint: str) -> Verdict:
        return Verdict(self.name, reason, hint)
