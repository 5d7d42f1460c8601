"""Whom a persona may not be named after, and what its text may not ask of people."""

from __future__ import annotations

import pytest

from piyasad.config.load import default_config, load
from piyasad.privacy.vetting import named_after, public_names, soliciting


@pytest.mark.parametrize(
    ("name", "username", "known"),
    [
        ("Mehmet Şimşek", "x_bot", "Mehmet Şimşek"),
        ("mehmet simsek", "x_bot", "Mehmet Şimşek"),
        ("MEHMET ŞİMŞEK 🤖", "x_bot", "Mehmet Şimşek"),
        ("Şimşek Mehmet", "x_bot", "Mehmet Şimşek"),
        ("Mehmet Şims\u0327ek Parodi", "x_bot", "Mehmet Şimşek"),
        ("Bakan Mehmet Şimşek'in Botu", "x_bot", "Mehmet Şimşek"),
        ("Piyasacı", "mehmetsimsek_bot", "Mehmet Şimşek"),
        ("Piyasacı", "mehmet_simsek_bot", "Mehmet Şimşek"),
        ("Mehmet 5im5ek", "x_bot", "Mehmet Şimşek"),
        ("ElonMusk", "x_bot", "Elon Musk"),
        ("Elon_Musk", "x_bot", "Elon Musk"),
        ("Özgür Demirtaş Hoca", "x_bot", "Özgür Demirtaş"),
        ("Tayyip Erdoğan", "x_bot", "Recep Tayyip Erdoğan"),
        ("Atatürk", "x_bot", "Mustafa Kemal Atatürk"),
        ("RTE", "x_bot", "Recep Tayyip Erdoğan"),
        ("W\u0430rren Buffett", "warren_buffett_bot", "Warren Buffett"),
        ("Gaye Erkan", "x_bot", "Hafize Gaye Erkan"),
    ],
)
def test_a_persona_is_not_named_after_somebody_known(name: str, username: str, known: str) -> None:
    assert named_after(name, username) == known


@pytest.mark.parametrize(
    ("name", "username"),
    [
        ("Mehmet Yatırımcı", "mehmet_bot"),
        ("Ayşe Scalper", "ayse_bot"),
        ("Ali Hoca", "ali_hoca_bot"),
        ("Zeynep Yeni", "zeynep_bot"),
        ("Mehmet", "mehmet_bot"),
        ("Şimşek", "simsek_bot"),
        ("Erdoğan Usta", "erdogan_usta_bot"),
        ("Elon", "elon_bot"),
        ("Warren", "warren_bot"),
        ("Kemal Abi", "kemal_bot"),
        ("Artemis", "artemis_rte_bot"),
        ("Deniz Yılmaz", "denizyilmaz_bot"),
        ("Ahmet Kayalı", "ahmet_kayali_bot"),
        ("Fatih Borsacı", "fatih_bot"),
        ("", ""),
    ],
)
def test_a_name_of_anybodys_stays_free(name: str, username: str) -> None:
    assert named_after(name, username) is None


def test_every_kept_name_is_found_under_itself_and_there_are_three_hundred() -> None:
    assert len(public_names()) >= 300
    for known, _ in public_names():
        assert named_after(known) is not None


def test_the_shipped_personas_are_nobody_and_ask_for_nothing() -> None:
    settings = load(default_config(), env={})
    ours = {bot.username.lower() for bot in settings.bots}
    for bot in settings.bots:
        persona = bot.persona
        assert named_after(bot.name, bot.username) is None
        texts = [persona.hint, persona.tone, persona.style.text, *persona.style.pet_phrases, *persona.examples]
        texts += [*persona.emotion.anecdotes, *(relation.text for relation in persona.relations)]
        texts += [*(stance.text for stance in bot.stances), *(held.note for held in bot.holdings)]
        for text in texts:
            assert soliciting(text, ours) is None, text


@pytest.mark.parametrize(
    "text",
    [
        "Herkesi kanalına davet eder.",
        "VIP grubuna katılmaya çağırır",
        "Bana özelden yazın, anlatayım",
        "DM atın",
        "Sinyal grubumuza gelin",
        "Ücretli sinyal satar",
        "t.me/kanal adresini paylaşır",
        "Detaylar www.ornek.com sitesinde",
        "Yaz bana: 0532 123 45 67",
        "Referans kodumla kayıt olun",
        "Insta hesabımı takip edin",
        "Bana ulaşın, portföyünüzü yöneteyim",
        "USDT gönderin iki katını alın",
        "Linke tıklayın",
        "Profilimdeki bağlantıya bakın",
        "Abone olmayı unutmayın",
        "join my channel",
        "DM me for signals",
        "Use my referral code",
        "@baska_kanal takip edin",
        "Kimseyi zorlamaz, ama kanalına üye olmalarını ister",
        "Müşteri bulur, aracı kuruma yönlendirir",
    ],
)
def test_text_that_solicits_or_links_is_refused(text: str) -> None:
    assert soliciting(text, {"ali_hoca_bot"}) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Sabırlı, uzun vadeli düşünür.",
        "Kimseyi kanala davet etmez.",
        "Özelden yazmaz, link paylaşmaz.",
        "Grupta az konuşur, çok dinler.",
        "Haber sitelerini okur.",
        "Telegram gruplarındaki söylentilere kulak asmaz",
        "Gruba yeni gelenlere sabırlıdır",
        "Özel sektör tahvillerini izler",
        "Yeni gelenlere yardım eder, soru sorar",
        "Ali Hoca'ya katılır",
        "@ali_hoca_bot ile tartışır",
        "Para politikasını yakından izler",
        "VIP lafı duyunca güler",
        "Never asks anybody to join a channel",
        "Bana göre acele işe şeytan karışır",
        "Portföyü sanaldır.",
    ],
)
def test_plain_persona_text_passes(text: str) -> None:
    assert soliciting(text, {"ali_hoca_bot"}) is None
