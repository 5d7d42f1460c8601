"""Insults, threats, hate against a people. A rule of the safety guard.

Some words are never said; milder ones are insults where they are spoken to or of somebody ("salaksın", "aptal herif"),
not where the speaker or a thing is meant. What is said of a people is hate where it is demeaning, not where it is a fact.
"""

from __future__ import annotations

from typing import Final

from piyasad.guards.lexicon import DENIES, Lexicon, Part, together
from piyasad.guards.reading import Reading
from piyasad.language.verbs import AORIST, FUTURE, NEG, ORDER, P1, P2, PAST, WISH

_WORDS: Final = Lexicon(
    blurred=True,
    denies=DENIES + " yer_yok kullanma~ kullanılmasın demeyelim etmeyelim",
    never="""orospu+ pic piç+ piçsin piç_kurusu siktir+ siktirin sikeyim sikerim sikik+ amk amq aq amına amcık+ yavşak+ yavşağ+ puşt+ pezevenk+ gavat+ ibne+ kahpe+ sürtük+ götveren+ götüm+ götün+ götünü
      şerefsiz+ haysiyetsiz+ namussuz+ gerizekâlı+ geri_zekâlı+ dangalak+ dangalağ+ embesil+ haysiyetsiz+ beyinsiz+ andaval+ hödük+ hödüğ+ gerzek+ gerzeğ+ dallama+ denyo+ dingil+ angut+ şapşal+ dümbelek+
      ahmak+ ahmağ+ salak+ salağ+ bok boktan bok_gibi bokum oç malsın malsınız sktir+ karı_gibi_ağla~ fahişe+ pislik_herif edepsiz+ terbiyesiz+ ahlaksız+ karaktersiz+ müptezel+ kaltak+ kaltağ+ yarrak+ taşak+ gerzekler zibidi+ hırt+
      kıro_tip+ maganda+ kezban+ tımarhanelik psikopatsın sümsük+ pısırık+ yarım_akıllı beyin_fukarası kara_cahil cahil_cühela özürlü_mü sakat_beyin+
      idiot idiots moron morons imbecile imbeciles retard retarded asshole bitch bastard dumbass fuck fucking shit bullshit scumbag scum pathetic loser losers nigger faggot cunt""",
    mild="""aptal+ mal öküz+ eşek+ eşeğ+ köpek+ köpeğ+ it çakal+ soytarı+ palyaço+ maskara+ ruh_hastası+ zavallı+ ezik+ eziğ+ cahil+ görgüsüz+ görmemiş asalak+ asalağ+ parazit+ leş pislik+ pisliğ+ rezil+ utanmaz arlanmaz yüzsüz+
      manyak+ manyağ+ deli psikopat+ özürlü+ sakat bunak+ bunağ+ moruk+ moruğ+ şişko+ çirkin korkak+ korkağ+ tavuk akılsız+ hırsız+ kıro+ varoş+ yobaz+ hain+ sahtekâr+ yalancı+ namert+ onursuz+ kafasız+ dolandırıcı+ budala+ salyangoz
      stupid dumb clown donkey fool worthless ugly fat coward trash garbage""",
    you="sen seni sana senin sizin sizi size siz sizler hepiniz you your you're u ya_sen",
    herif="herif+ adam+ adamlar adamsın tip+ tipler takım+ takımı teki tekisin kılıklı suratlı kafalı lan ulan ulen be birisin insanlarsınız insansın millet people man",
    call="lan ulan ulen be hey",
    mind="kafan kafanız aklın aklınız beynin beyniniz zekân zekan zekâna beyin zekâ iq",
    lacks="basmıyor basmaz çalışmıyor çalışmaz ermez almaz almıyor yetmez yetmiyor yok fukara tek_haneli kaç",
    silence="""kes_sesini kesin_sesinizi sesini_kes kapa_çeneni çeneni_kapa sus_lan sus_be sus_artık haddini_bil haddini_aşma haddinizi_bilin defol~ yürü_git yürüyün_gidin shut_up shut_your ne_anlarsın sen_kimsin ağla_git git_ağla
      laf_anlatmak get_lost go_back_to""",
    threat="""gebert~ geber~ öldür~ öldürürüm kafanı_kır~ ağzını_burnunu kemiklerini_kır~ seni_bul~ bulurum_seni evini_bil~ evinin_yolunu belanı_ver~ belan+_ara~ belan+_mı_ara~ belanı_mı_ara~ beter_ol~ cehenneme_git~ canı_cehenneme ezerim kill_yourself i_will_find
      break_your deserve_to_die öl_de başına_gelecek+ umarım_bat~ yalvaracaksın go_to_hell i'll_break i'll_find""",
    people="""suriyeli+ afgan+ afganlar arap+ araplar arab+ kürt+ kürd+ yahudi+ ermeni+ rum+ rumlar yunan+ yunanlar çingene+ zenci+ siyahi+ gâvur+ gavur+ müslüman+ hristiyan+ alevi+ sünni+ ateist+ alman+ rus+ ruslar çinli+ hintli+
      amerikalı+ türk+ türkler karadenizli+ doğulu+ batılı+ köylü+ göçmen+ mülteci+ sığınmacı+ kadın+ kadınlar karı_gibi eşcinsel+ gey+ geyler lezbiyen+ trans+ engelli+ yaşlı+ yaşlılar iranlı+ pakistanlı+ iraklı+ çerkez+
      roman+ sarışın+ sarışınsın millet ırk+ ırkı din+ dine jews jew arabs blacks black muslims immigrants refugees women gays chinese indians turks kurds armenians greeks christians those_people""",
    demeans="""pis leş iğrenç kokar kokuyor haşere+ böcek+ hain+ bölücü+ hırsız+ asalak+ parazit+ terörist+ düşman+ tembel+ ayyaş+ nazi+ geri_kafalı güvenilmez akılsız+ cahil+ aptal+ çalışmaz anla~ yönetiyor_piyasayı defol+ kov~ kovun
      temizle~ temizlemek yok_edil~ yok_edeceksin denize_dök~ istemiyoruz adam_olmaz ölsün gebersin hayır_gelmez yüzünden_bat~ yüzünden yeri_mutfak aklıyla çalıştırıyorlar pazarlık aynı hepsi_pis parası geri_gönder~ cehenneme
      dirty lazy parasites terrorists vermin disgusting control disappear scum don't_understand send back hepsi bütün_suç""",
    harsh="""pis leş iğrenç kokar haşere+ hain+ bölücü+ hırsız+ asalak+ parazit+ terörist+ düşman+ tembel+ ayyaş+ nazi geri_kafalı güvenilmez akılsız+ cahil+ aptal+ defol+ kov~ kovun temizle~ yok_edil~ yok_edeceksin denize_dök~
      istemiyoruz adam_olmaz ölsün hayır_gelmez yeri_mutfak canı_cehenneme dirty lazy parasites terrorists vermin disgusting disappear scum""",
    not_persons="""sermaye+ fon+ fonları işçi+ takvim+ tatil+ bayram+ sınır+ tahvil+ ruble+ turist+ sanayi+ sipariş+ talep+ talebi pazar+ tüketici+ döviz+ nüfus+ istihdam+ destek+ ülke+ böreği teklif+ kesim+ kesimi cemaat+ ticaret+
      kur+ kuru borsa+ faiz+ market banka+ şirket+ para_birimi markets holidays investors remittances majority friday""",
    oneself="hissettim hissettirdi kendimi kendime itiraf yaptım bende ettim",
    fine="""aptal_yerine aptal_değilim akıllı_para aptal_para smart_money mal_varlığı mal_ve hizmet tahta+ tahtada fiyat+ ithal yük+ yükü sağlam buzağı yıl+ yılı balık+ balina+ balıkları atasözü sürgün hissettim hissettirdi bende bilançoda
      hareket+ hareketti gün+ gündü ekran+ ekranım kendimi kendime itiraf deli_gibi deli_dana cahilliğim+ cahil_kaldığım cahil_cesaret+ hava hava_var kazığa mistake felt read session""",
)
_B = _WORDS.bit
DENY, NEVER, MILD, YOU, HERIF, CALL = _WORDS.each("denies", "never", "mild", "you", "herif", "call")
MIND, LACKS, SILENCE, THREAT, PEOPLE, DEMEANS = _WORDS.each("mind", "lacks", "silence", "threat", "people", "demeans")
HARSH, THINGS, FINE, SELF = _WORDS.each("harsh", "not_persons", "fine", "oneself")
_GATE: Final = NEVER | MILD | MIND | SILENCE | THREAT | PEOPLE


def abuses(reading: Reading) -> bool:
    """Whether a text insults, threatens or speaks with hate of a people."""
    tags = _WORDS.tag(reading.words)
    gate = together(tags)
    if not gate & _GATE:
        return False
    singles = {breath.start for breath in reading.breaths if breath.end - breath.start == 1}
    for one in reading.sentences:
        part = Part.of(reading, tags, one)
        if _abuses(
            part, [at - one.start for at in singles if one.start <= at < one.end] if len(part.words) > 1 else []
        ):
            return True
    return False


def _abuses(part: Part, alone: list[int]) -> bool:
    words, tags, union = part.words, part.tags, part.union
    own = any(tag & P1 and not tag & (NEVER | MILD) for tag in tags)
    for at, tag in enumerate(tags):
        follows = tags[at + 1] if at + 1 < len(tags) else 0
        if tag & NEVER and not (follows & FINE or (own and not union & (YOU | HERIF))):
            if not ((union & FINE and own) or union & SELF) and not _denied(tags, at):
                return True
        if tag & MILD and not tag & FINE and _to_somebody(words, tags, at, union):
            return True
    if any(tags[at] & MILD and words[at] not in _THINGS and not words[at].endswith("lik") for at in alone):
        return True
    if (
        union & MILD
        and any(word.startswith("ol") for word in words)
        and any(word.endswith(("tin", "din", "tun", "dun")) for word in words)
    ):
        return True
    if union & (SILENCE | THREAT) and _meant(part):
        return True
    if (
        union & MIND
        and union & LACKS
        and any(tag & MIND and any(each & LACKS for each in tags[at : at + 4]) for at, tag in enumerate(tags))
    ):
        return not own
    return bool(union & PEOPLE) and _hates(part)


def _denied(tags: list[int], at: int) -> bool:
    return any(tag & DENY for tag in tags[at + 1 : at + 3])


def _to_somebody(words: tuple[str, ...], tags: list[int], at: int, union: int) -> bool:
    """Whether a milder word is said to or of somebody."""
    word, tag = words[at], tags[at]
    follows = tags[at + 1] if at + 1 < len(tags) else 0
    if follows & FINE or _denied(tags, at):
        return False
    rest = words[at + 1 :]
    if rest[:1] == ("gibi",) and any(each.endswith(("sin", "sun", "siniz", "sunuz", "ma", "me")) for each in rest):
        return True
    if union & FINE and not union & YOU:
        return False
    if tag & P2 and word.endswith(("sin", "sun", "siniz", "sunuz")):
        return True
    if follows & (HERIF | CALL) or (at and tags[at - 1] & CALL):
        return True
    following = words[at + 1] if at + 1 < len(words) else ""
    if following in {"misin", "misiniz", "musun"} or (following.startswith("mis") and len(following) > 4):
        return True
    if following == word and rest[1:]:
        return True
    if any(each & YOU for each in tags[max(0, at - 3) : at]):
        return not (word == "it" or (word == "mal" and len(words) > 4))
    if union & HERIF and word not in {"it", "mal", "deli"} and len(words) <= 6:
        return True
    return len(words) <= _SHOUTED and word not in _THINGS and not any(each & P1 for each in tags)


_SHOUTED: Final = 2
"""An insult is all that is said: "soytarı", "utanmaz arlanmaz"."""

_THINGS: Final = frozenset(("mal it deli sakat tavuk kopek essek les it parazit asalak hirsiz hain").split())


def _meant(part: Part) -> bool:
    """Whether a threat or an order to be silent is meant: not denied, not of oneself, not of a thing."""
    if any(tag & DENY for tag in part.tags) or part.union & FINE:
        return False
    for at, tag in enumerate(part.tags):
        if tag & (SILENCE | THREAT) and not (at + 1 < len(part.tags) and part.tags[at + 1] & tag & (SILENCE | THREAT)):
            if at + 1 < len(part.words) and part.words[at + 1] in {"demek", "diyen", "diyene", "demem", "demeyelim"}:
                return False
            return (
                not tag & NEG
                and (not tag & P1 or bool(tag & (AORIST | FUTURE)) or bool(tag & SILENCE))
                and (bool(part.union & YOU) or bool(tag & (ORDER | P2 | WISH | P1 | SILENCE)) or not tag & PAST)
            )
    return False


def _hates(part: Part) -> bool:
    """Whether a people is demeaned."""
    words, tags, union = part.words, part.tags, part.union
    if any(tag & DENY and not tag & DEMEANS for tag in tags) and not union & HARSH:
        return False
    for at, tag in enumerate(tags):
        if not tag & PEOPLE:
            continue
        if at + 1 < len(tags) and tags[at + 1] & THINGS and not words[at].endswith(("lar", "ler")):
            continue
        if tag & P2:
            return True
        if any(each & HARSH and not each & PEOPLE for each in tags):
            return True
        if union & DEMEANS and (at == 0 or words[at - 1] in {"butun", "o", "su", "bu", "pis"} or len(words) <= 5):
            return True
        if any(each & (NEVER | MILD) and word not in _THINGS for word, each in zip(words, tags, strict=True)):
            return True
        if any(word.endswith(("masin", "mesin", "masinlar", "mesinler")) for word in words[at + 1 :]):
            return True
    return False
