"""Claims of inside knowledge: a friend in the company who told, what is not yet announced and known already, tips.

A rule of the safety guard. No single sign makes such a claim: somebody close to the matter, knowing before others,
secrecy, a document nobody has seen are weighed together; what is public, denied, asked or mocked weighs against.
"""

from __future__ import annotations

from typing import Final

from piyasad.guards.lexicon import ASKS, AT, DENIES, FROM, REJECTS, Lexicon, Part, together
from piyasad.guards.reading import Reading
from piyasad.language.verbs import FUTURE, IF, LET, NEG, NOW, P1, PAST, TOLD

_WORDS: Final = Lexicon(
    denies=DENIES,
    asks=ASKS + " nedir",
    rejects=REJECTS
    + """ iddia_eden+ diyenlere diyenler diyorlar derler dediğin yanıldı yanılıyor yakalanıyor çöker olmaz yapılmaz lafına peşinde masalına söylenti+ rumours rumors tips
      hareket_etmem üzerine illegal filed yalan satanlar satanlardan satış_gelince selling trading asılsız""",
    maybe="belki olsa acaba keşke bilseydik would if",
    leak="""insider içeriden içerden iceriden insiders tüyo+ duyum+ istihbarat+ köstebek+ köstebeğ+ kulis+ kulislerden tip sızdı sızmış sızan sızıyor sızdırdı sızdırdılar sızdırmış fısıldadı fısıldıyor fısıldamış fısıldadılar sızıntı haber_uçur~ bilgi_uçur~ çıtlat~ içeriyi_bil~ leaked leak
      slip tipped little_bird inside_info inside_information secret_info insider_info kuş_söyle~ kuşlar_söyle~ internally""",
    aware="biliyorum biliyoruz biliyordum haberim haberimiz haberdarım bilgim in_the_know",
    reads="oku~",
    sees="gör~ seen saw",
    knows="duy~ öğren~ bil~ haber_al~ bilgi_al~ teyit_al~ teyitli heard know knew learned overheard word_from got_word hear_it on_good_authority",
    met="görüştüm konuştum konuştuk görüştük tanırım tanıyorum yemek_ye~ yemek_yedik masadaydım toplantıdaydım oradaydım masada_ben masadayım was_in met",
    person="""arkadaşım+ arkadaş arkadaşı arkadaşlar bir_tanıdık tanıdık_biri tanıdık_var bir_tanıdığ+ tanıdığım_biri tanıdığım_var tanıdığımız_var dostum+ dost dostu kuzen+ dayım+ amcam+ eniştem+ komşum+ eşim+ babam+ abim+ bir_abi ablam+ oğlum+ kızım+
      kız_arkadaşım çocuklar yakınım+ yakınımdan kankam+ şoför+ teyzem+ halam+ yeğen+ yeğenim bacanağ+ bacanak+ kayınbirader+ kayınço+ baldız+ müşterim+ hemşerim+ sevgilim+ nişanlım+ annem+ dedem+
      berberim ev_sahibim people uncle aunt nephew dad father wife husband sister brother cousin roommate neighbor neighbour friend contact guy""",
    own="kaynağım+ kaynağımız+ kaynaklarım kaynaklarıma kaynağımın adamım adamımız bağlantılarım bağlantım my_source my_sources never_misses my_contact my_guy sağlam_yer+ sağlam_kaynak+ sağlam_kaynağ+ güvenilir_yer+ güvenilir_bir_yer+ güvenilir_kaynak+ kaynak_verme~",
    anonymous="biri birisi birileri ses someone somebody secretary",
    role="müdür+ ceo+ cfo+ patron+ kurucu+ kurucusu yetkili+ yönetici+ yöneticilerle denetçi+ avukat+ avukatları ortağı operasyon+ yazılımcı+ tahtacı+ kurul_üye+ başkan+ danışmanı çalışan+ güvenlik employee directors director auditor manager",
    place="""şirket+ yönetim+ kurul+ kurulu+ banka+ bakanlık+ bakanlığ+ tcmb+ tüik+ fed+ spk+ bddk+ holding+ fabrika+ muhasebe+ finans+ merkez_bankası+ merkezden aracı_kurum+ takas_oda+ derecelendirme+ saray+ ankara+
      kurum+ kuruluş+ ajans+ depo+ ofis+ komisyon+ ankara'dan aselsan+ proje+ toplantı+ masa+ tören+ hazine+ maliye+ rafineri+ santral+ liman+ tersane+ mahkeme+ belediye+ gümrük+ üst_kat+ üst_düzey
      içeride içerde içerideki içerdeki içeriyi içinden içerisinden mutfağında mutfaktan perde_arka+ kapalı_kapı+ tepesinde inside within company board boardroom ministry bank exchange management""",
    firm="garan+ thyao+ eregl+ asels+ sahol+ sise+ kchol+ sasa+ tuprs+ bimas+ froto+ petkm+ pgsus+ akbnk+ isctr+",
    secret="""gizli aramızda_kalsın aramızda_kalacak kimseye_söyle~ kimseye_de~ kimsede_yok kimsede_olma~ kimse_bilmiyor_ama kimse_bilmez_ama kimse_bilmeden söylememem paylaşmayın dışarı_çıkma~ duyduğumu_sorma bildiğimi_sorma silerim sır sırrı sırrımı yayalım başım_belaya herkese_vermiyorum ekran_görüntü+ suç_ama duyan_olmasın kimse_duymadan duymuş_olmayın bilgi_yayalım
      duyanlar_duymayanlara parayla_bile kaynak_vermem bu_işin_içinde işin_mutfağındayım between_us off_the_record not_supposed not_public nobody_knows_this nobody_knows_yet don't_share can't_reveal from_me""",
    coy="söyleyemem söyleyemiyorum açıklayamam anlatamam detay_vereme~ veremem",
    first_hand="birinci_ağız+ birinci_el+ bizzat kulağıma aldığım_bilgi+ gözümle elime bana_ulaş~ bana_özel bana_gel~ bana_geldi bana_söyle~ bana_bilgi bana_yaz~ bize_gelen ilk_siz ilk_size personally straight_from",
    ahead="""önceden şimdiden bugünden önden açıklanmadan açıklamadan duyulmadan duyurulmadan kap'a_düşmeden haber_düşmeden ajansa_düşmeden yayımlanmadan resmileşmeden duyuru_gelmeden haberi_çıkmadan yayına_girmeden
      herkesten_önce herkesten_evvel açıklanmadı açıklanmamış duyulmadı yansımadı duyurulmadı açıklayacaklar açıklanmasını resmî_değil beklemeye_gerek_yok early before_release before_it before_it_hits_the_news before_the before_everyone not_announced
      in_advance draft day_before yet""",
    familiar="tanıdık",
    doc="emirleri belge+ dosya+ liste+ rakam+ metin+ metn+ taslak+ taslağ+ mektup+ mektub+ imza+ figures numbers document papers earnings",
    result="""ihale+ anlaşma+ sözleşme+ birleşme+ bedelsiz+ bölünme+ zam+ karar+ teklif+ ortaklık+ devralma+ dava+ güncelleme+ paket+ bilgi+ bilgisi haber+ not_artışı sonucunu merger deal contract
      announcement tender listing approval approved buyout report""",
    matter="""bilanço+ temettü+ sipariş+ yatırım+ üretim+ enflasyon+ faiz+ satış+ kâr+ kap+ alım+ hat stok+ dividend cut quarter rate profits""",
    soon="yarın yarınki cuma haftaya birazdan bu_hafta sabaha yakın yolda geliyor tomorrow friday next_week coming",
    settled="tamam imzalandı imzalanmış hazır bitti bitmiş kesinleşti kesinleşmiş onaylandı done signed",
    offers="söyle~ ver~ paylaş~ anlat~ yaz~",
    strong="duyduğumu_sorma bildiğimi_sorma aramızda_kalsın off_the_record herkese_vermiyorum duymuş_olmayın söylememem",
    tells="söyle~ anlat~ haber_ver~ göster~ bildir~ ver~ yaz~ ilet~ de~ diyor dedi söylüyor aradılar told tells tell confirmed got",
    has="bende bizde elimde elime cebimde mine",
    works="i_work_there çalışanıyım çalışıyorum çalışıyor çalışan+ mühendis görevli işin_içinden içindeyim work works on_the_board",
    public="""kap'ta kap_bildirim+ bildirim+ bildirimi gazete+ gazeteye haberi_oku~ basında haberlere röportaj+ site+ sitede sitesinde telekonferans+ sunum+ bülten+ rapor+_göre raporundan raporunda raporun raporu_oku~ açıklamasından
      açıklamada açıklamasına konuşmasını resmî_gazete televizyon+ izledim faaliyet+ dipnot+ herkese_açık e-bülten dün_akşam duyurdu açıklandı ajansta ajanslarda sayfa+ haftalık press news minutes the_filing public_report kaydı okuyalım yazıyor
      geçen_yıl yıllık video+ genel_kurulda genel_kurulun_gündem+ çalışan_sayı+ çalışanların_sayı+ isteyen+ conference yayımlanmış yayımlandı""",
)
_B = _WORDS.bit
DENY, SECRET, KNOWS, MET, FIRM, PLACE, PERSON, WORKS, TELLS, HAS = _WORDS.each(
    "denies", "secret", "knows", "met", "firm", "place", "person", "works", "tells", "has"
)
SEES, OFFERS, STRONG, READS = _WORDS.each("sees", "offers", "strong", "reads")
ANONYMOUS, ROLE, OWN, RESULT, DOC, AHEAD, SOON = _WORDS.each(
    "anonymous", "role", "own", "result", "doc", "ahead", "soon"
)

_WEIGHTS: Final = (
    (_B("leak"), 3.0),
    (SECRET, 2.5),
    (_B("first_hand"), 2.0),
    (AHEAD, 1.5),
    (OWN, 2.5),
    (_B("aware"), 1.5),
    (_B("coy"), 1.0),
    (PERSON, 1.5),
    (ROLE, 1.0),
    (ANONYMOUS, 1.0),
    (DOC, 1.0),
    (_B("settled"), 0.5),
    (_B("familiar"), 0.5),
    (_B("strong"), 0.5),
    (RESULT, 1.0),
    (_B("matter"), 0.5),
    (SOON, 0.5),
    (HAS, 1.0),
    (_B("public"), -5.0),
    (_B("rejects"), -6.0),
    (_B("asks"), -6.0),
    (_B("maybe"), -3.0),
)
_LINKS: Final = _B(
    "leak", "secret", "first_hand", "ahead", "own", "person", "role", "anonymous", "has", "knows", "met", "works", "aware", "sees", "coy", "strong",
    "reads",
)  # fmt: skip
"""Without any of these nobody claims to be close to the matter."""

_CLAIMED: Final = 3.0
"""So much evidence is a claim."""

_GATE: Final = _B(
    "leak",
    "secret",
    "first_hand",
    "ahead",
    "own",
    "person",
    "role",
    "anonymous",
    "has",
    "knows",
    "met",
    "works",
    "aware",
    "sees",
    "coy",
    "strong",
    "place",
    "firm",
    "doc",
)
_AGAINST: Final = _B("public", "rejects", "denies")
_ENGLISH: Final = frozenset({"i", "my", "me", "i've", "the", "it"})
_CALL: Final = 3
"""Words of "Mehmet abim," at most: somebody is spoken to."""

_VOCATIVES: Final = ("dostum", "abim", "ablam", "arkadaslar", "kankam")


def claims_inside(reading: Reading) -> bool:
    """Whether a text claims to know what is not public."""
    tags = _WORDS.tag(reading.words)
    gate = together(tags)
    if not gate & _GATE:
        return False
    for breath in reading.breaths:
        if breath.end - breath.start <= _CALL and reading.words[breath.end - 1] in _VOCATIVES:
            tags[breath.end - 1] &= ~PERSON
    return any(evidence(Part.of(reading, tags, sentence)) >= _CLAIMED for sentence in reading.sentences)


def evidence(part: Part) -> float:
    """How much a sentence looks like a claim of inside knowledge."""
    if part.asks:
        return 0.0
    tags = part.tags
    union = 0
    for tag in tags:  # "suç ama", "before it hits the news": a part of such a term is nothing by itself
        union |= tag & ~_AGAINST if tag & (SECRET | AHEAD | STRONG) else tag
    score = sum(weight for bit, weight in _WEIGHTS if union & bit)
    close = bool(union & (PERSON | ROLE | ANONYMOUS | OWN | WORKS))
    score -= 3.0 * any(tag & DENY and not tag & (SECRET | AHEAD | RESULT) for tag in tags)
    english = not _ENGLISH.isdisjoint(part.words)
    if any(tag & KNOWS and not tag & (NEG | IF) and ((tag & P1 and tag & (PAST | TOLD)) or english) for tag in tags):
        score += 2.0 if close or union & (SECRET | AHEAD | SOON | OWN) or part.has(PLACE, FROM) else 1.0
    if any(tag & SEES and ((tag & P1 and tag & PAST) or english) for tag in tags):
        score += 2.0 if union & (DOC | AHEAD) else 1.0
    if union & MET:
        score += 2.0
    if union & PLACE or (close and part.has(FIRM, AT | FROM)):
        score += (
            1.5
            if part.has(PLACE | FIRM, FROM) or (close and part.has(PLACE | FIRM, AT))
            else 1.0
            if close or part.has(PLACE, AT)
            else 0.5
        )
    if part.has(WORKS, P1) and union & (PLACE | FIRM):
        score += 3.0
    elif union & WORKS:
        score += 0.5
    if (close or part.has(PLACE, FROM) or english) and any(
        tag & TELLS and not tag & (NEG | IF | P1) and (tag & (PAST | NOW | TOLD) or english) for tag in tags
    ):
        score += 1.0
    if any(tag & OFFERS and tag & P1 and tag & (LET | NOW | FUTURE) and not tag & NEG for tag in tags) and union & (
        AHEAD | SECRET | STRONG
    ):
        score += 1.0
    if part.has(ROLE, FROM):
        score += 1.0
    if any(tag & READS and tag & P1 and tag & PAST for tag in tags) and union & SOON:
        score += 1.5
    if any(tag & TOLD for tag in tags):
        score += 0.5
    return score if union & _LINKS else 0.0
