"""Promises of gain: certainty and gain in one clause, no loss possible, money that multiplies, "you will be rich".

A rule of the safety guard. What is negated, asked, hedged, or said by others to be rejected is no promise.
"""

from __future__ import annotations

import re
from typing import Final

from piyasad.guards.lexicon import ASKS, DENIES, MAYBE, REJECTS, SAID, Lexicon, together
from piyasad.guards.reading import Reading, Span
from piyasad.language.verbs import AORIST, CAN, FUTURE, IF, NEG, NOUN, NOW, ORDER, P1, P2, PAST, TOLD, WHO

_WORDS: Final = Lexicon(
    denies=DENIES,
    asks=ASKS,
    maybe=MAYBE,
    said=SAID,
    rejects=REJECTS,
    thinks="düşünüyorum diyorum söylüyorum yazıyorum inanıyorum biliyorum",
    certain="""kesin+ kesinlikle kesindir kesinkes mutlaka muhakkak garanti+ garantidir garantili+ garantör+ şüphesiz kuşkusuz kaçınılmaz taahhüt+
      teminat+ teminatlı sigortalı yüzde_yüz yüzde_100 yüzde_bin asla her_türlü ne_olursa_olsun istisnasız hiç_şaşmaz hiç_yanıl~ sözüm_söz söz_ver~
      emin+ eminim adım_gibi kalıb+_bas~ namus_söz+ şeref_söz+ yemin+ bahse_gir~ iddia_ediyorum iddiaya_gir~ şüphe+_yok şüphem kuşku+_yok şüphen_olmasın
      kuşkun_olmasın kuşkunuz_olmasın bir_kenara kenara_yaz~ adımı_değiştir~ kefilim vadediyorum vaat_ediyorum hazır sadece_bekle istisna+_yok yüzdeyüz paraya_para_de~ net_söylüyorum
      banko çantada_keklik tartışmasız tereddütsüz mecbur görürsün görürsünüz göreceksin göreceksiniz bana_güven sözüme_güven kaçar+_yok rahat_ol içiniz_rahat
      merak_etme merak_etmeyin gözün_kapalı yüzde_99 iddialıyım kazanç+_cepte kâr+_cepte para+_cepte
      guaranteed guarantee guarantees certain certainly sure surely definitely assured promise swear absolutely no_doubt a_doubt doubt mark_my
      trust_me bet_your a_fact locked_in safe can_only bound_to can't_go_wrong sure_bet set_for_life""",
    gain="""kazan~ kazandır~ katla~ katlan~ kâr_et~ kâr_getir~ kâr_yap~ para_bas~ zengin_ol~ zengin_et~ zenginleş~ köşe+_dön~ uçar uçacak uçuyor uçmuş uçacağı uçacağının uçacağından uçuşta fırla~ tavan_yap~ tavan_git~
      tavan_gid~ voli+_vur~ yük+_tut~ malı_götür~ cep+_dol~ ihya_ol~ ihya_et~ para_kat~ ekmek_ye~ ekmek_yi~ para+_çık~ para+_çıkar~ yüzde_çıkar~ kat_ver~ uçuşa_geç~
      milyoner_et~ milyoner_ol~ çoğal~ prim_yap~ para_yağ~ içinde_yüz~ hayat+_değiş~ hayat+_kurtul~ emekli_ol~ emekli_et~ şiş~ fazlasıyla_al~ geri_al~
      yüz+_gül~ yüz+_güldür~ para+_yap~ uçur~ köşe_ol~ ev_al~ araba_al~ multiply multiplies quadruple quadruples retire double doubles triple triples moon moons earn earns skyrocket make_money""",
    profit="""kazanç+ kazançlı+ kârlı+ kâr+ kârda kârdayız getiri+ getirili zenginsin zenginsiniz zenginiz milyoner+ vurgun+ servet+ bedava_para para_basma ekmeğ+
      garanti_para paraya_para_de~ zengin+ tavan+ profit profits gain gains returns return income fortune rich wealth millionaire killing easy_money free_money make_money""",
    multiple="iki_kat+ üç_kat+ dört_kat+ beş_kat+ on_kat+ iki_katı üç_katı dört_katı beş_katı on_katı ikiye üçe dörde beşe kat_kat twofold tenfold iki_olur üç_olur beş_olur on_olur",
    span="gün+ günde hafta+ haftada haftaya ay+ ayda aya yıl+ yılda yıla sene+ senede seneye yaza kışa sonuna sonunda month week year day",
    often="hep her_zaman belli always",
    yours="""paran paranı paranız paranızı parana paranıza sermayen sermayeni sermayeniz yatırdığın+ anaparan birikimin cebin cebine cebinde cebiniz hesabın servetin
      kazancın kazancınız kârın kârınız kazancımız your_money your_profit emekliliğin emekliliğini emekliliğiniz emekliliğinizi tatilini evini arabanı borcunu borçlarını geleceği çocuğunun hayatını seni sizi""",
    up_en="goes_up go_up up",
    rise="yüksel~ yükseliş+ art~ çık~ gid~ git~ tut~ tırman~ patla~ kalk~ yukarı goes_up go_up up",
    it="bu bunlar bundan buradan buralar burada şu hisse+ kâğıt+ kağıd+ coin+ altın+ dolar+ euro+ bitcoin btc eth gümüş+ endeks+ borsa+ garan+ thyao+ eregl+ asels+ sasa+ sise+ kchol+ it gold this here",
    fall="düş~ bat~ eri~ gerile~ çök~ üzül~ üz~ pişman_ol~ kay~ düşüş+ batma+",
    lose="kaybet~ kaybeden+ kaybettir~ zarar_et~ zarar_eden+ kayıp_ver~ zarar_gör~ batır~ kârsız_çık~ zarar_ettir~ kayıp_yaşa~ pişman_et~ yarı_yolda_bırak~ elinde_patla~ elinizde_patla~",
    lose_en="lose loses losing lost fail fails lose_money go_down goes_down go_wrong drop drops",
    loss="zarar+ kayıp+ kayb+ risk+ riskli downside loss",
    zero="sıfır sıfırdır sıfırın risksiz zero riskfree kayıpsız altında risk_free",
    impossible="imkânsız imkânsızdır imkân_yok imkân+_yok mümkün_değil bir_ihtimal_yok ihtimal+_yok şans+_yok ihtimalin_yok söz_konusu_olamaz elde_değil ihtimal_yok impossible no_way zero_chance",
    will="will gonna going_to you'll we'll it'll",
    you="you you'll we we'll you're sen siz",
    pays="öde~ karşıla~ kurtar~",
    personal="zenginsin zenginsiniz kazançlısın kazançlısınız kârlısın kârlısınız kârdasın kârdasınız",
    chance="ihtimal+ olasılık+ şans+ chance",
    backs="iade iadeli iade_ederim ben_öderim ben_karşılarım karşılanıyor bana_ait money_back",
    idiom="garanti_bbva garanti_banka+ garanti_hisse+ garanti_mektub+ garanti_süre+ kur_garantili hazine_garantili tek_şey allah belirsizlik bilgi_için bilançoya toplantı+ rapor+",
)
_B = _WORDS.bit
CERTAIN, GAIN, PROFIT, MULTIPLE, SPAN, YOURS = _WORDS.each("certain", "gain", "profit", "multiple", "span", "yours")
LIKES_UP, OFTEN = _WORDS.each("up_en", "often")
RISE, IT, FALL, LOSE, LOSE_EN, LOSS, ZERO = _WORDS.each("rise", "it", "fall", "lose", "lose_en", "loss", "zero")
IMPOSSIBLE, WILL, YOU, BACKS, IDIOM = _WORDS.each("impossible", "will", "you", "backs", "idiom")
PAYS, PERSONAL, CHANCE = _WORDS.each("pays", "personal", "chance")
DENY, ASK, PERHAPS, SAYS, REJECT, THINKS = _WORDS.each("denies", "asks", "maybe", "said", "rejects", "thinks")
_GATE: Final = GAIN | PROFIT | MULTIPLE | RISE | FALL | LOSE | LOSE_EN | LOSS | BACKS | PERSONAL | YOURS
_COMING: Final = AORIST | FUTURE

_SHORT: Final = 4
"""In so few words what rises is what the room talks about."""

_TIMES: Final = re.compile(r"\d+x|x\d+")
_GIVE_TAKE: Final = re.compile(
    r"\b(?:bir|iki|uc|bes|on|yuz|bin|\d+)(?: bin)? (?:koy|ver|yatir|at)\w* (?:bir|iki|uc|dort|bes|on|yuz|bin|\d+)(?: bin)? al"
)


def promises(reading: Reading) -> bool:
    """Whether a text promises a gain."""
    tags = _WORDS.tag(reading.words)
    union = together(tags)
    if not union & _GATE and not _TIMES.search(reading.plain) and not _GIVE_TAKE.search(reading.plain):
        return False
    for sentence in reading.sentences:
        if any(
            tag & REJECT and word not in _OWN_BREATH
            for word, tag in zip(
                reading.words[sentence.start : sentence.end], tags[sentence.start : sentence.end], strict=True
            )
        ) and not _holds(reading, tags, sentence):
            continue
        for clause in reading.clauses:
            if sentence.start <= clause.start < sentence.end and _promise(reading, tags, clause):
                return True
    return False


_OWN_BREATH: Final = frozenset(["demem", "demiyorum", "demedim", "demeyelim", "diyemem", "diyemeyiz"])
"""What says "I do not say so" rejects what stands in the same clause, no more."""


def _holds(reading: Reading, tags: list[int], span: Span) -> bool:
    """ "Yalan değil", "dolandırıcı değilim": what looks like a rejection is denied itself."""
    return any(tags[at] & REJECT and at + 1 < span.end and tags[at + 1] & DENY for at in range(span.start, span.end))


def _promise(reading: Reading, tags: list[int], span: Span) -> bool:
    words, own = reading.words[span.start : span.end], tags[span.start : span.end]
    union = 0
    for tag in own:
        union |= tag
    if (
        union & ASK
        or span.asks
        or any(
            tag & REJECT and at and own[at - 1] & (GAIN | PROFIT | CERTAIN | RISE | LOSS) for at, tag in enumerate(own)
        )
    ):
        return False
    sure = not union & IDIOM and any(
        tag & CERTAIN and not (at + 1 < len(own) and own[at + 1] & DENY and not own[at + 1] & CERTAIN)
        for at, tag in enumerate(own)
    )
    sure = sure or words[-1] == "soz"  # "kazanacaksın, söz"
    last = max((at for at, tag in enumerate(own) if tag & (GAIN | PROFIT | CERTAIN | RISE)), default=-1)
    denied = any(
        tag & (DENY | NEG) and not tag & (CERTAIN | IMPOSSIBLE | LOSE | FALL | ZERO) for tag in own[last + 1 :]
    )
    denied = denied or _denied_english(words, own)
    up = any(tag & GAIN and not tag & NEG for tag in own)
    if union & IMPOSSIBLE and any(tag & (LOSE | FALL | LOSE_EN) and (not tag & NEG or tag & ORDER) for tag in own):
        return True
    if union & SAYS and not union & THINKS:
        return False
    if any(tag & GAIN and tag & NEG for tag in own) and union & IMPOSSIBLE:
        return True
    if union & BACKS and union & (LOSE | LOSS | GAIN | PROFIT | CERTAIN):
        return True
    if union & LOSS and union & CHANCE and union & (ZERO | IMPOSSIBLE):
        return True
    if _lossless(words, own, union, sure=sure):
        return True
    if denied or union & PERHAPS:
        return False
    if (sure and (up or union & PROFIT)) or (union & OFTEN and up):
        return True
    if (
        sure
        and union & IT
        and any(
            tag & RISE and not tag & (NEG | P1) and (tag & (_COMING | WHO | NOUN | NOW) or union & LIKES_UP)
            for tag in own
        )
    ):
        return True
    if sure and len(words) <= _SHORT and any(tag & RISE and not tag & (NEG | P1) and tag & _COMING for tag in own):
        return True
    if sure and union & WILL and any(_TIMES.fullmatch(word) for word in words):
        return True
    timed = any(_TIMES.fullmatch(word) for word in words)
    if timed and (sure or any(tag & _COMING for tag in own)):
        return True
    if _GIVE_TAKE.search(" ".join(words)):
        return True
    if union & IF:
        return False
    if union & PERSONAL:
        return True
    past = any(tag & (PAST | TOLD) and not tag & PERHAPS for tag in own)
    if union & SPAN and union & YOURS and "yuzde" in words and not past:
        return True
    if union & MULTIPLE and union & (SPAN | YOURS) and not past and not union & WHO:
        return True
    for word, tag in zip(words, own, strict=True):
        if (
            tag & (GAIN | RISE | PAYS if union & YOURS else GAIN)
            and not tag & (NEG | CAN | PAST | TOLD | WHO)
            and tag & (_COMING | NOW)
        ):
            if tag & P2 or (tag & P1 and word[-1] in "zk") or union & YOURS:
                return True
    return bool(union & YOU and union & WILL and union & (GAIN | PROFIT) and not past)


def _denied_english(words: tuple[str, ...], own: list[int]) -> bool:
    return any(tag & DENY and not tag & CERTAIN and word in _BEFORE for word, tag in zip(words, own, strict=True))


_BEFORE: Final = frozenset(
    ("not no never none nobody nothing isn't doesn't don't won't can't cannot hicbir hicbiri kimse kimsenin").split()
)


def _lossless(words: tuple[str, ...], own: list[int], union: int, *, sure: bool) -> bool:
    """Whether a clause says that nothing can be lost."""
    for at, tag in enumerate(own):
        if tag & LOSE and tag & NEG and tag & (_COMING | PAST | NOW) and not tag & P1:
            return not any(later & (DENY | SAYS) for later in own[at + 1 :]) and not union & (IF | PERHAPS)
        if (
            tag & LOSE
            and (tag & WHO or words[at] in {"kaybeden", "kaybedecek"})
            and any(later & (NEG | DENY) for later in own[at + 1 :])
        ):
            return not union & (SAYS | PERHAPS)
        if tag & FALL and tag & NEG and tag & _COMING:
            safe = (
                sure
                or union & (IMPOSSIBLE | P2 | YOURS)
                or any(each & GAIN and not each & NEG and each & _COMING for each in own)
            )
            if safe and (union & (IT | YOURS) or tag & P2):
                return True
        if tag & LOSE_EN and any(word in _BEFORE for word in words[max(0, at - 3) : at]):
            return not union & PERHAPS
    if not union & (GAIN | PROFIT | CERTAIN):
        return False
    for at, tag in enumerate(own):
        if tag & LOSS or (tag & ZERO and tag & PROFIT):
            near = own[max(0, at - 2) : at + 3]
            noes = sum(
                1
                for each in near
                if (each & (ZERO | DENY) and not each & CERTAIN) or (each & NEG and not each & (LOSE | FALL))
            )
            if noes % 2:
                return True
    return False
