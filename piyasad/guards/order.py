"""Orders to trade: "alın", "GARAN al, bekleme", "herkes altına geçsin", "buy now". A rule of the safety guard.

An order is a verb of trading in a form that tells somebody to (imperative, "almalısın", "alman lazım", "alıyoruz, herkes
aynı anda"), about something that is traded, or with nothing else to be about. Orders about other things pass: "not al".
"""

from __future__ import annotations

from typing import Final

from piyasad.guards.lexicon import ASKS, DENIES, FROM, REJECTS, TO, Lexicon, Part, together
from piyasad.guards.reading import Reading
from piyasad.language.verbs import AORIST, FUTURE, LET, MUST, NEG, NOUN, NOW, ORDER, P1, P2, PASSIVE, WISH

_WORDS: Final = Lexicon(
    denies=DENIES,
    asks=ASKS + " ne_kadar kaç kim hangi",
    rejects=REJECTS + " iddia_eden+ satan+ veren+",
    trades="al~ sat~ topla~ bozdur~ shortla~ longla~ aldır~ biriktir~ pompala~ satın_al~ alım_yap~ satış_yap~",
    enters="gir~ ekle~ kap~ bin~ yüklen~ yükle~ doldur~ gömül~ dal~ boşalt~ boz~ kapat~ aç~ at~",
    writes="yaz~ çek~ ver~",
    presses="bas~",
    moves="geç~ dön~ sığın~ çık~ kaç~ yönel~ kal~ dur~ bırak~ tut~ bağla~",
    puts="yatır~ koy~ aktar~ çevir~ kaydır~ dönüştür~",
    urges="""hemen şimdi acil acilen derhal durma durmayın bekleme beklemeyin beklemeden koşun koş vakit_kaybetmeden kaçırma kaçırmayın kaçırmadan geç_kalma
      geç_kalmayın geç_kalmadan fırsat+ son_şans son_vagon artık hadi haydi korkma korkmayın düşünme düşünmeden düşünmeyin sorgulamadan kefilim bana_güven
      dinle_beni dediğimi_yap kurtul kurtulun gitsin pişman_ol~ sakın ne_duruyorsun ne_bekliyorsun""",
    everybody="herkes hepiniz hepimiz millet elinizdeki elindeki elinizdekini elindekini hepsini hepsi arkadaşlar beyler",
    together="hep_birlikte hep_beraber beraber birlikte aynı_anda topluca toplu katılın hepimiz",
    traded="""hisse+ kâğıt+ kağıd+ coin+ lot+ pozisyon+ mal tahta+ kâr+ zararına döviz+ kripto+ borsa+ fon+ tahvil+ portföy+ emir+ emr+ alım+ alı short long tren+ vagon+ sepet+ nakit+ nakd+
      mevduat+ lira+ tl seviye+ fiyattan dip+ dipten düşüşte düşüşü tepe+ maliyet bitcoin+ btc+ eth+ ethereum+ dolar+ euro+ avro+ sterlin+ altın+ gümüş+ usdtry+ eurtry+ xau+
      garan+ thyao+ eregl+ asels+ sahol+ sise+ kchol+ sasa+ akbnk+ isctr+ tuprs+ bimas+ froto+ petkm+ pgsus+ ykbnk+ halk+ vakbn+ endeks+ stok kaldıraç+ teminat+""",
    money="para+ paran paranı paranızı maaş+ birikim+ kredi_çek~ kredi_bul~ borç_al~ borç_bul~ krediyle borçla ev+ arsa+ araba+ sermaye+ varlık+ maaşını babandan eşine",
    benign="""nefes+ dipnot+ not+ ders+ dikkat+ kahve+ çay+ mola+ haber+ selam+ yer+ göz+ göze ele el ciddiye rol+ örnek+ bilgi+ randevu+ ekran+ keyif keyfini tat+ tadını
      izin+ önlem+ fikir+ fikrini kalem+ defter+ söz+ konu+ ara+ araya grup gruba laf+ liste+ takvim+ soru+ sohbet+ tablo+ görüş+ destek karar+ risk+ hesaba akıl+ aklınızdan
      aklından yol+ hava+ duş+ uyku+ terim+ rapor+ kitap+ kitab+ kendini kendine kendinizi bilet+ ekmek+ su+ sıra+ ödev+ telefon+ isim+ ismi ter+ terinin grafik+ grafiğ+ sayfa+ video+
      bilanço+ veri+ ağır+ satır+ satir+ geri sözümü konuşma+ mikrofon+ ses+ iddia+ fikr+ verimi adım+ yana kenara kenarda sakin uzak izlemede beklemede düşüş bakış""",
    itself="bunu şunu onu bundan şundan ondan buna şuna ona hepsini hepsinden bunları şunları ne_varsa tüm bütün bu",
    adverb="""bence bana_göre tekrar yine biraz az azar çok hep her_gün her_ay sabah akşam dün bugün yarın gece öğlen sonra önce erken kademeli ucuzken ucuza ilk_iş ilk_fırsatta daha
      üstüne sadece de da ve o_kadar tabii zaten ki hiç açılışta burada yarısını lot güzelce ben sen siz biz diyorum size sana ise de_ki mutlaka kesinlikle hadi tut unut unutun herkes
      hepiniz arkadaşlar beyler dostlar artık hemen şimdi acilen verin gitsin kurtul kurtulun yat tam""",
    needs="lazım gerek gerekiyor gerekir şart şarttır",
    forced="zorundasın zorundasınız mecbursun mecbursunuz",
    heed="bak bakın bakınız",
    nominal="""sinyal+ tavsiye+ baskı+ baskısı taraf+ tarafı diyen+ diyenler diyene diye demek demem demiyorum ver_gülüm unut_stratejisi stratejisi yöntemi diyorlar
      derler der dedi gülüm sat tut_yöntemi strateji+""",
    saying="diyorum diyoruz derim diyorsam",
    hour="zaman zamanı vakti vakit saati",
    push="yukarı_çek~ fiyat+_yükselt~ pompala~ düşürelim",
    en_trade="buy sell dump grab load short exit switch purchase hold",
    en_move="get_in get_out all_in go_all move_your put_all put_your_savings put_your_money put_everything pump add_to open_a take_profits borrow_and",
    en_urge="now today immediately hurry just everything everyone let's you don't_wait don't_miss quick must should trust_me time_to dip before go and",
    en_not="never not don't no nobody should_i says said tells because would people who hold pay side",
)
_B = _WORDS.bit
DENY, ASK, REJECT = _WORDS.each("denies", "asks", "rejects")
TRADES, ENTERS, MOVES, PUTS = _WORDS.each("trades", "enters", "moves", "puts")
URGES, EVERYBODY, TOGETHER, TRADED, MONEY = _WORDS.each("urges", "everybody", "together", "traded", "money")
BENIGN, ITSELF, ADVERB, NEEDS, HEED = _WORDS.each("benign", "itself", "adverb", "needs", "heed")
FORCED, WRITES, PRESSES = _WORDS.each("forced", "writes", "presses")
NOMINAL, SAYING, HOUR, PUSH = _WORDS.each("nominal", "saying", "hour", "push")
EN_TRADE, EN_MOVE, EN_URGE, EN_NOT = _WORDS.each("en_trade", "en_move", "en_urge", "en_not")
_VERBS: Final = TRADES | ENTERS | MOVES | PUTS | WRITES | PRESSES
_GATE: Final = _VERBS | URGES | EN_TRADE | EN_MOVE | PUSH | EVERYBODY
_BARE: Final = frozenset(("al sat gir kap bas ekle bin at tut gec don cik kac dur kal ac cek yaz").split())


def orders(reading: Reading) -> bool:
    """Whether a text orders a trade."""
    tags = _WORDS.tag(reading.words)
    union = together(tags)
    if not union & _GATE:
        return False
    breaths = iter(reading.breaths)
    breath = next(breaths)
    for clause in reading.clauses:
        whole = Part.of(reading, tags, clause)
        while breath.start < clause.end:
            if _order(Part.of(reading, tags, breath), whole):
                return True
            following = next(breaths, None)
            if following is None:
                break
            breath = following
    return False


def _order(part: Part, whole: Part) -> bool:
    if part.union & REJECT or (part.asks and not part.union & URGES):
        return False
    if part.union & (EN_TRADE | EN_MOVE) and _english(part):
        return True
    for at, tag in enumerate(part.tags):
        if tag & _VERBS and not tag & (NEG | PASSIVE) and _tells(part, at, whole) and _about_trade(part, at, whole):
            return True
    if part.union & TRADES and part.union & HOUR and part.union & URGES and not part.union & (ASK | DENY):
        return True
    if part.union & PUSH and (part.union & TOGETHER or part.has(PUSH, LET)):
        return True
    # "herkes dolara, hemen", "haydi GARAN'a": where to, and no verb
    if part.has(TRADED, TO) and whole.union & (URGES | EVERYBODY) and not whole.union & (_VERBS | DENY | ASK):
        return len(whole.words) <= _CALL and not whole.union & (AORIST | NOW | FUTURE)
    return any(word.startswith("kacirma") for word in part.words) and any("firsat" in word for word in part.words)


_CALL: Final = 5
"""Words of a call that needs no verb."""


def _tells(part: Part, at: int, whole: Part) -> bool:
    """Whether the verb at a place tells somebody to do it."""
    tag, word = part.tags[at], part.words[at]
    follows = part.tags[at + 1] if at + 1 < len(part.tags) else 0
    later = 0
    for each in part.tags[at + 1 :]:
        later |= each
    if tag & ORDER:
        if word in _BARE and follows & NOMINAL and not follows & ORDER:
            return False
        if (follows & (DENY | BENIGN) and not follows & (TRADED | URGES)) or (
            follows & NEG and (word in _BARE or follows & SAYING)
        ):
            return False
        return not (word == "satin" and follows & TRADES) and not (
            word in _BARE
            and follows & TRADES
            and follows & ORDER
            and at == 0
            and word != part.words[at + 1]
            and len(part.words) > _PAIR
        )
    if tag & WISH:
        return bool(whole.union & EVERYBODY) or word.endswith(("lar", "ler"))
    if tag & (NOW | FUTURE) and tag & P2:
        return bool(tag & (TRADES | ENTERS)) and not later & DENY and not whole.union & ASK
    if tag & MUST and tag & P2:
        return True
    if tag & NOUN:
        theirs = word.endswith(("man", "men", "maniz", "meniz"))
        return bool(
            (later & NEEDS and theirs) or later & FORCED or (follows & HEED and word.endswith(("maya", "meye")))
        )
    if tag & (NOW | LET) and tag & P1:
        return bool(whole.union & TOGETHER)
    return False


_PAIR: Final = 2
"""More words after "al sat" make it the name of a habit."""


def _about_trade(part: Part, at: int, whole: Part) -> bool:
    """Whether what is to be done is trading: by its object, or for want of one."""
    tag, word = part.tags[at], part.words[at]
    before = part.tags[at - 1] if at else 0
    second = part.tags[at - 2] if at > 1 else 0
    if (before & BENIGN and not before & TRADED) or (second & BENIGN and not before & (TRADED | ITSELF | URGES)):
        return False
    target = part.has(TRADED | MONEY, TO | FROM)
    if tag & MOVES:
        return target or (word.startswith("tut") and bool(before & TRADED))
    if tag & PUTS:
        return target or bool(part.union & (MONEY | ITSELF))
    if tag & WRITES:
        return bool(before & TRADED)
    if tag & PRESSES:
        return (
            bool(part.union & (MONEY | ITSELF))
            or bool(before & TRADES)
            or target
            or any(word.startswith(("alim", "tusuna")) for word in part.words)
        )
    if tag & ENTERS and not word.startswith(("gir", "kap", "ekle", "yuklen")):
        return bool(part.union & (TRADED | MONEY))
    if part.union & (TRADED | MONEY | URGES | ITSELF):
        return True
    allowed = TOGETHER | ADVERB | _VERBS | EVERYBODY | HEED | NEEDS | FORCED | SAYING | NOMINAL
    if all(each & allowed for each in part.tags):
        return True
    if before & (ADVERB | EVERYBODY | SAYING) and tag & TRADES:
        return True
    return at > 0 and part.words[at - 1].endswith(("ince", "unca", "inca", "unce")) and bool(tag & TRADES)


def _english(part: Part) -> bool:
    if part.union & EN_NOT:
        return False
    own = part.tags
    first = own[0] & (EN_TRADE | EN_MOVE) or (len(own) > 1 and own[0] & EN_URGE and own[1] & (EN_TRADE | EN_MOVE))
    return bool(first or (part.union & EN_URGE and part.union & (EN_TRADE | EN_MOVE)))
