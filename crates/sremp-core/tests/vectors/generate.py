#!/usr/bin/env python3
"""Writes identity.json, card.json, safety_number.json, content.json, relay.json and rendezvous.json beside itself.

An implementation of its own (hashlib, the `cryptography` package and the few lines of MessagePack
below), so that the vectors are no echo of the code that they test. Deterministic.
"""
import base64, hashlib, json, os, struct
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19


# ---- SMP1 ---------------------------------------------------------------------------------------
def uint(n):
    for limit, form in ((0x80, None), (1 << 8, ">BB"), (1 << 16, ">BH"), (1 << 32, ">BI"), (1 << 64, ">BQ")):
        if n < limit:
            tag = {1 << 8: 0xCC, 1 << 16: 0xCD, 1 << 32: 0xCE, 1 << 64: 0xCF}.get(limit)
            return bytes([n]) if form is None else struct.pack(form, tag, n)


def sized(n, forms):
    for limit, tag, form in forms:
        if n < limit:
            return bytes([tag | n]) if form is None else struct.pack(">B" + form, tag, n)


def smp1(v):
    if v is None:
        return b"\xc0"
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return uint(v)
    if isinstance(v, str):
        b = v.encode()
        return sized(len(b), ((32, 0xA0, None), (256, 0xD9, "B"), (65536, 0xDA, "H"))) + b
    if isinstance(v, bytes):
        return sized(len(v), ((256, 0xC4, "B"), (65536, 0xC5, "H"))) + v
    if isinstance(v, list):
        return sized(len(v), ((16, 0x90, None), (65536, 0xDC, "H"))) + b"".join(map(smp1, v))
    if isinstance(v, dict):
        items = b"".join(smp1(k) + smp1(v[k]) for k in sorted(v))
        return sized(len(v), ((16, 0x80, None), (65536, 0xDE, "H"))) + items
    if isinstance(v, Raw):
        return v.b
    raise TypeError(v)


class Raw:
    """Bytes that are no SMP1 of anything."""

    def __init__(self, b):
        self.b = b if isinstance(b, bytes) else bytes.fromhex(b)


# ---- keys and signatures ------------------------------------------------------------------------
def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


class Person:
    def __init__(self, seed, noise):
        self.seed, self.noise_secret = bytes([seed]) * 32, bytes([noise]) * 32
        self.key = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.id = raw(self.key.public_key())
        self.noise = raw(X25519PrivateKey.from_private_bytes(self.noise_secret).public_key())

    def sign(self, label, payload):
        return self.key.sign(b"SREMP/1/" + label + b"\0" + payload)


ALICE, BOB, RELAY = Person(1, 2), Person(5, 6), Person(9, 10)
T = 1760000000000


def plus_l(signature):
    s = int.from_bytes(signature[32:], "little") + L
    return signature[:32] + s.to_bytes(32, "little")


def write(name, value):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "w") as f:
        json.dump(value, f, indent=1, ensure_ascii=True)
        f.write("\n")


# ---- identity -----------------------------------------------------------------------------------
def fields(**other):
    f = dict(username="alice", identity_key=ALICE.id, noise_key=ALICE.noise, flags=[False] * 4,
             extensions=None, version=1, created=T)
    f.update(other)
    return list(f.values())


def signed(verified, signature=None):
    return smp1([verified, signature or ALICE.sign(b"identity", verified)])


def doc(**other):
    return signed(smp1(fields(**other)))


def meta(m):
    return [None, m]


def low_order():
    e8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"
    c8 = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"
    u = [bytes(32), (1).to_bytes(32, "little"), bytes.fromhex(e8), bytes.fromhex(c8)]
    u += [n.to_bytes(32, "little") for n in (P - 1, P, P + 1)]
    return u + [x[:31] + bytes([x[31] | 0x80]) for x in u]


def identity():
    verified = smp1(fields())
    good = signed(verified)
    one = (1).to_bytes(32, "little")
    accept = [("plain", good), ("version_2_to_53_less_1", doc(version=2**53 - 1)),
              ("tombstone", doc(version=2**53, extensions=meta({"sremp.tombstone": b"\1"}))),
              ("created_at_the_epoch", doc(created=0)), ("created_at_the_last_moment", doc(created=253402300799999)),
              ("name_of_40_astral_scalars", doc(username="\U0001D11E" * 40)),
              ("all_flags", doc(flags=[True] * 4)),
              ("sorted_metadata_unknown_keys", doc(extensions=meta({"a": b"", "a.b-c_0": b"x" * 1024, "b": b"2"}))),
              ("empty_metadata", doc(extensions=meta({}))),
              ("metadata_of_16_entries", doc(extensions=meta({f"k{i:02}": b"" for i in range(16)}))),
              ("metadata_key_of_64_bytes", doc(extensions=meta({"k" * 64: b""}))),
              ("picture_too_large_is_ignored", doc(extensions=[b"\x89PNG\r\n\x1a\n" + bytes(9000), None])),
              ("picture_of_no_known_kind_is_ignored", doc(extensions=[b"GIF89a", None]))]
    f = fields
    swap = lambda i, hexed: Raw(b"\x97" + b"".join(Raw(hexed).b if n == i else smp1(v) for n, v in enumerate(f())))
    s = lambda r: signed(r.b)
    ext = lambda hexed: s(Raw(b"\x97" + b"".join(smp1(v) for v in f()[:4]) + bytes.fromhex(hexed) + smp1(1) + smp1(T)))
    key_map = b"\x87" + b"".join(smp1(k) + smp1(v) for k, v in zip(
        ("username", "identity_key", "noise_key", "flags", "extensions", "version", "created"), f()))
    reject = [
        # case 7: correctly signed, but not the one encoding
        ("trailing_byte", signed(verified + b"\0"), "encoding"),
        ("eighth_element", signed(b"\x98" + verified[1:] + b"\0"), "encoding"),
        ("six_elements", signed(smp1(f()[:6])), "encoding"),
        ("version_as_int8", s(swap(5, "d001")), "encoding"),
        ("version_as_uint8", s(swap(5, "cc01")), "encoding"),
        ("version_as_float", s(swap(5, "cb3ff0000000000000")), "encoding"),
        ("version_as_ext", s(swap(5, "d40001")), "encoding"),
        ("version_negative", s(swap(5, "ff")), "encoding"),
        ("name_as_str8", s(swap(0, "d905616c696365")), "encoding"),
        ("name_as_bin", s(swap(0, "c405616c696365")), "encoding"),
        ("name_of_broken_utf8", s(swap(0, "a2c328")), "encoding"),
        ("map_form", signed(key_map), "encoding"),
        ("identity_key_as_array", s(Raw(b"\x97" + smp1("alice") + smp1(list(ALICE.id)) + verified[41:])), "encoding"),
        ("identity_key_as_bin16", s(Raw(b"\x97" + smp1("alice") + b"\xc5\0\x20" + ALICE.id + verified[41:])), "encoding"),
        ("identity_key_as_str", s(Raw(b"\x97" + smp1("alice") + b"\xd9\x20" + ALICE.id + verified[41:])), "encoding"),
        ("noise_key_as_array", s(Raw(b"\x97" + smp1("alice") + smp1(ALICE.id) + smp1(list(ALICE.noise)) + b"".join(map(smp1, f()[3:])))), "encoding"),
        ("noise_key_of_31_bytes", doc(noise_key=ALICE.noise[:31]), "encoding"),
        ("flags_as_bin", s(swap(3, "c40400000000")), "encoding"),
        ("flags_as_map", s(swap(3, "84ac757365735f72656c6179c2b269735f6d616368696e655f6163636f756e74c2af69735f72656c61795f736572766572c2ad707265666572735f6173796e63c2")), "encoding"),
        ("flags_as_ints", s(swap(3, "9400000000")), "encoding"),
        ("three_flags", doc(flags=[False] * 3), "encoding"),
        ("array16_for_flags", s(swap(3, "dc0004c2c2c2c2")), "encoding"),
        ("extensions_empty_array", ext("90"), "encoding"),
        ("metadata_unsorted", ext("92c082a162c40102a161c40101"), "encoding"),
        ("metadata_twice_the_same_key", ext("92c082a161c40101a161c40102"), "encoding"),
        ("metadata_value_as_bin16", ext("92c081a161c5000101"), "encoding"),
        ("metadata_value_as_str", ext("92c081a161a101"), "encoding"),
        ("metadata_key_as_str8", ext("92c081d90161c40101"), "encoding"),
        ("metadata_as_array", ext("92c091a161"), "encoding"),
        ("created_after_the_year_9999", doc(created=253402300800000), "encoding"),
        ("created_u64_max", doc(created=2**64 - 1), "encoding"),
        ("version_beyond_u64", s(swap(5, "cf" + "ff" * 9)), "encoding"),
        ("deep_nesting", s(swap(4, "91" * 4000 + "c0")), "encoding"),
        ("string_of_4_gib", s(swap(0, "dbffffffff")), "encoding"),
        ("array_of_4_gib", signed(Raw("ddffffffff").b), "encoding"),
        ("empty_verified", signed(b""), "encoding"),
        ("outer_trailing_byte", good + b"\0", "encoding"),
        ("outer_third_element", b"\x93" + good[1:] + b"\xc0", "encoding"),
        ("outer_map_form", b"\x82\xa8verified" + good[1:94] + b"\xa9signature" + good[94:], "encoding"),
        ("outer_verified_as_bin16", b"\x92\xc5\0\x5b" + good[3:], "encoding"),
        ("outer_signature_of_63_bytes", smp1([verified, good[-64:-1]]), "encoding"),
        ("outer_signature_as_array", smp1([verified, list(good[-64:])]), "encoding"),
        ("empty", b"", "encoding"), ("cut_by_one_byte", good[:-1], "encoding"),
        ("longer_than_16_kib", doc(extensions=[bytes(16300), None]), "encoding"),
        # case 8: keys and signatures that hold for anything, or have a second form
        ("key_1_and_signature_of_all_messages", signed(smp1(f(identity_key=one)), one + bytes(32)), "key"),
        ("key_0", signed(smp1(f(identity_key=bytes(32))), one + bytes(32)), "key"),
        ("key_with_y_not_below_p", signed(smp1(f(identity_key=(P + 3).to_bytes(32, "little"))), one + bytes(32)), "key"),
        ("key_1_with_y_not_below_p", signed(smp1(f(identity_key=(P + 1).to_bytes(32, "little"))), one + bytes(32)), "key"),
        ("key_that_is_no_point", signed(smp1(f(identity_key=(2).to_bytes(32, "little"))), one + bytes(32)), "key"),
        ("key_negative_zero", signed(smp1(f(identity_key=one[:31] + b"\x80")), one + bytes(32)), "key"),
        ("s_plus_l", signed(verified, plus_l(good[-64:])), "signature"),
        ("r_1_s_0", signed(verified, one + bytes(32)), "signature"),
        ("signature_of_other_data", signed(smp1(f(version=2)), good[-64:]), "signature"),
        ("signature_of_another_key", signed(verified, BOB.sign(b"identity", verified)), "signature"),
        # case 9: another label, or none
        ("unlabelled", signed(verified, ALICE.key.sign(verified)), "signature"),
        ("label_without_zero", signed(verified, ALICE.key.sign(b"SREMP/1/identity" + verified)), "signature"),
        ("label_card", signed(verified, ALICE.sign(b"card", verified)), "signature"),
        ("label_of_version_2", signed(verified, ALICE.key.sign(b"SREMP/2/identity\0" + verified)), "signature"),
        # case 10: versions
        ("version_0", doc(version=0), "version"), ("version_2_to_53_plus_1", doc(version=2**53 + 1), "version"),
        ("version_u64_max", doc(version=2**64 - 1), "version"),
        ("version_2_to_53_without_tombstone", doc(version=2**53), "version"),
        ("tombstone_below_2_to_53", doc(version=7, extensions=meta({"sremp.tombstone": b"\1"})), "version"),
        # fields
        ("name_empty", doc(username=""), "username"), ("name_of_41", doc(username="a" * 41), "username"),
        ("name_with_bidi_override", doc(username="a\u202eb"), "username"),
        ("name_with_zero_width_space", doc(username="a\u200bb"), "username"),
        ("name_with_nul", doc(username="a\0b"), "username"), ("name_with_escape", doc(username="\x1b[2J"), "username"),
        ("name_not_in_its_normal_form", doc(username="\ufb01n"), "username"),
        ("name_with_outer_space", doc(username=" a"), "username"),
        ("name_of_200_marks", doc(username="a" + "\u0323" * 200), "username"),
        ("metadata_empty_key", doc(extensions=meta({"": b""})), "metadata"),
        ("metadata_key_of_65_bytes", doc(extensions=meta({"k" * 65: b""})), "metadata"),
        ("metadata_key_upper_case", doc(extensions=meta({"A": b""})), "metadata"),
        ("metadata_value_of_1025_bytes", doc(extensions=meta({"a": bytes(1025)})), "metadata"),
        ("metadata_of_17_entries", doc(extensions=meta({f"k{i:02}": b"" for i in range(17)})), "metadata"),
        ("metadata_above_4_kib", doc(extensions=meta({c: bytes(1024) for c in "abcd"})), "metadata"),
    ]
    # case 6
    reject += [(f"noise_key_low_order_{i}", doc(noise_key=u), "noise_key") for i, u in enumerate(low_order())]
    write("identity.json", {
        "header": "5352454d500100", "identity_seed": ALICE.seed.hex(), "noise_secret": ALICE.noise_secret.hex(),
        "identity_key": ALICE.id.hex(), "noise_key": ALICE.noise.hex(), "username": "alice", "version": 1, "created": T,
        "verified": verified.hex(), "signature": good[-64:].hex(), "identity": good.hex(),
        "sha256": hashlib.sha256(good).hexdigest(),
        "accept": [dict(name=n, identity=b.hex()) for n, b in accept],
        "reject": [dict(name=n, identity=b.hex(), error=e) for n, b, e in reject]})
    return good


# ---- card ---------------------------------------------------------------------------------------
def tlv(t, value):
    return bytes([t, len(value)]) + value


def addr(host, port):
    return struct.pack("<H", port) + host.encode()


def card(tlvs=b"", ver=1, flags=0, key=None, version=1, expires=0, token=bytes(16), sign=None):
    b = bytes([ver, flags]) + (key or ALICE.id) + struct.pack("<QQ", version, expires) + token + tlvs
    return b + (sign or (lambda x: ALICE.sign(b"card", x)))(b)


def uri(b):
    return "sremp:1#" + base64.urlsafe_b64encode(b).decode().rstrip("=")


def qr(b):
    return "SREMP:1/" + base64.b32encode(b).decode().rstrip("=")


def cards():
    token, week = bytes([7]) * 16, T + 7 * 86400000
    relay = tlv(1, RELAY.id + addr("relay.example", 33399))
    endpoint, name = tlv(3, addr("2001:db8::7", 33400)), tlv(4, b"alice")
    full = relay + tlv(2, addr("rdv.example", 443)) + endpoint + tlv(3, addr("alice.example", 33400)) + name
    r = dict(relay=RELAY.id.hex(), host="relay.example", port=33399)
    accept = [
        dict(name="smallest", bytes=card(), flags=0),
        dict(name="everything", bytes=card(full, flags=7, version=3, expires=week, token=token), version=3,
             expires=week, token=token.hex(), one_time=True, dial=True, relays=[r], rendezvous=[["rdv.example", 443]],
             endpoints=[["2001:db8::7", 33400], ["alice.example", 33400]], username="alice"),
        dict(name="reusable_token", bytes=card(endpoint, flags=1, token=token), token=token.hex(),
             endpoints=[["2001:db8::7", 33400]]),
        dict(name="three_relays_in_order", bytes=card(tlv(1, RELAY.id + addr("c.example", 1)) + relay + tlv(1, BOB.id + addr("a.example", 2))),
             relays=[dict(relay=RELAY.id.hex(), host="c.example", port=1), r, dict(relay=BOB.id.hex(), host="a.example", port=2)]),
    ]
    tolerated = [dict(name="unknown_tlv_is_signed_but_ignored", bytes=card(name + tlv(5, b"later") + tlv(127, b"")), username="alice"),
                 dict(name="unknown_tlv_twice", bytes=card(tlv(5, b"a") + tlv(5, b"b"))),
                 dict(name="unknown_tlv_of_255_bytes", bytes=card(tlv(9, bytes(255)))),
                 dict(name="exactly_512_bytes", bytes=card(tlv(9, bytes(255)) + tlv(10, bytes(123))))]
    for a in accept + tolerated:
        b = a.pop("bytes")
        a.pop("flags", None)
        a.update(bytes=b.hex(), uri=uri(b), qr=qr(b))
    good = card(full, flags=7, version=3, expires=week, token=token)
    flip = lambda i: good[:i] + bytes([good[i] ^ 1]) + good[i + 1:]
    one = (1).to_bytes(32, "little")
    many = lambda t, n: b"".join(tlv(t, (RELAY.id if t == 1 else b"") + addr(f"h{i}.example", 1)) for i in range(n))
    host = lambda h, port=1: card(tlv(3, struct.pack("<H", port) + h))
    reject = [
        ("empty", b"", "malformed"), ("shorter_than_a_signature", good[:63], "malformed"),
        ("nothing_but_a_signature", good[-64:], "malformed"), ("cut_by_one_byte", good[:-1], "altered"),
        ("one_byte_more", good + b"\0", "altered"), ("flags_changed", flip(1), "altered"),
        ("key_changed", flip(2), "altered"), ("version_changed", flip(34), "altered"),
        ("expiry_changed", flip(42), "altered"), ("token_changed", flip(50), "altered"),
        ("relay_changed", flip(70), "altered"), ("signature_changed", flip(len(good) - 1), "altered"),
        ("expiry_taken_away", good[:42] + bytes(8) + good[50:], "altered"),
        ("key_swapped", good[:2] + BOB.id + good[34:], "altered"),
        ("version_2", card(ver=2), "unsupported"), ("version_0", card(ver=0), "unsupported"),
        ("unlabelled_signature", card(sign=ALICE.key.sign), "altered"),
        ("signature_of_label_identity", card(sign=lambda b: ALICE.sign(b"identity", b)), "altered"),
        ("signature_s_plus_l", card(sign=lambda b: plus_l(ALICE.sign(b"card", b))), "altered"),
        ("key_1_and_signature_of_all_messages", card(key=one, sign=lambda b: one + bytes(32)), "altered"),
        ("key_with_y_not_below_p", card(key=(P + 3).to_bytes(32, "little"), sign=lambda b: one + bytes(32)), "altered"),
        ("unknown_flag", card(flags=8), "unsupported"), ("critical_tlv", card(tlv(128, b"")), "unsupported"),
        ("critical_tlv_255", card(name + tlv(255, b"x")), "unsupported"),
        ("identity_version_0", card(version=0), "malformed"), ("identity_version_2_to_53_plus_1", card(version=2**53 + 1), "malformed"),
        ("expires_after_the_year_9999", card(expires=253402300800000), "malformed"),
        ("expires_u64_max", card(expires=2**64 - 1), "malformed"),
        ("token_without_its_flag", card(token=token), "malformed"), ("one_time_without_token", card(flags=2), "malformed"),
        ("dial_without_endpoint", card(flags=4), "malformed"),
        ("tlv_without_length", card(b"\x04"), "malformed"), ("tlv_longer_than_the_card", card(b"\x04\x06alice"), "malformed"),
        ("tlvs_out_of_order", card(name + endpoint), "malformed"), ("username_twice", card(name + name), "malformed"),
        ("four_relays", card(many(1, 4)), "malformed"), ("four_rendezvous", card(many(2, 4)), "malformed"),
        ("five_endpoints", card(many(3, 5)), "malformed"),
        ("relay_without_host", card(tlv(1, RELAY.id + b"\1\0")), "malformed"), ("relay_cut_in_its_key", card(tlv(1, RELAY.id[:31])), "malformed"),
        ("relay_with_weak_key", card(tlv(1, one + addr("relay.example", 1))), "malformed"),
        ("port_0", host(b"alice.example", 0), "malformed"), ("endpoint_without_port", card(tlv(3, b"\1")), "malformed"),
        ("host_with_userinfo", host(b"user@alice.example"), "malformed"), ("host_with_space", host(b"a b"), "malformed"),
        ("host_with_nul", host(b"a\0b"), "malformed"), ("host_with_escape", host(b"\x1b[2J"), "malformed"),
        ("host_with_upper_case", host(b"Alice.example"), "malformed"), ("host_with_port", host(b"a.example:80"), "malformed"),
        ("host_in_brackets", host(b"[::1]"), "malformed"), ("host_with_zone", host(b"fe80::1%eth0"), "malformed"),
        ("host_of_unusual_address_form", host(b"127.1"), "malformed"), ("host_of_hex_address", host(b"0x7f000001"), "malformed"),
        ("host_with_trailing_dot", host(b"alice.example."), "malformed"), ("host_of_broken_utf8", host(b"\xc3\x28"), "malformed"),
        ("name_with_bidi_override", card(tlv(4, "a\u202eb".encode())), "malformed"), ("name_empty", card(tlv(4, b"")), "malformed"),
        ("longer_than_512_bytes", card(tlv(9, bytes(255)) + tlv(10, bytes(124))), "too_long"),
        ("expired", card(expires=T), "expired"), ("expired_long_ago", card(expires=1), "expired"),
    ]
    small = card()
    last = qr(small)
    b64 = uri(small)
    texts = [("no_scheme", b64[6:], "malformed"), ("other_scheme", "http:1#" + b64[8:], "malformed"), ("empty", "", "malformed"),
             ("scheme_only", "sremp:", "malformed"), ("no_separator", "sremp:1" + b64[8:], "malformed"),
             ("newer_version", "sremp:2#" + b64[8:], "unsupported"), ("newer_version_qr", "SREMP:12/" + last[8:], "unsupported"),
             ("version_no_number", "sremp:x#" + b64[8:], "malformed"), ("version_missing", "sremp:#" + b64[8:], "malformed"),
             ("version_with_zero", "sremp:01#" + b64[8:], "unsupported"),
             ("base64_padded", b64 + "==", "malformed"), ("base64_of_the_other_alphabet", "sremp:1#+/+/", "malformed"),
             ("base64_with_spare_bits", b64[:-1] + chr(ord(b64[-1]) + 1), "malformed"),
             ("base32_padded", last + "======", "malformed"), ("base32_digit_1", last[:8] + "1" + last[9:], "malformed"),
             ("base32_of_impossible_length", "SREMP:1/A", "malformed"), ("nothing_behind", "sremp:1#", "malformed"),
             ("half_of_it", b64[:100], "malformed"), ("most_of_it", b64[:180], "altered"), ("not_ascii", "sremp:1#\u00e9\u00e9", "malformed"),
             ("endless", "sremp:1#" + "A" * 5000, "too_long")]
    assert len(small) * 8 % 6 == 2 and len(small) * 8 % 5 == 0
    spare = card(tlv(9, b""))
    assert len(spare) * 8 % 5 == 1
    t = qr(spare)
    texts.append(("base32_with_spare_bits", t[:-1] + chr(ord(t[-1]) + 1), "malformed"))
    spellings = [("uri", b64), ("qr", last), ("scheme_upper", "SREMP" + b64[5:]), ("qr_lower", last.lower()),
                 ("surrounded", "\n  " + b64 + " \r\n"), ("wrapped", b64[:60] + "\r\n " + b64[60:]), ("qr_wrapped", last[:9] + "\n" + last[9:])]
    write("card.json", {
        "identity_seed": ALICE.seed.hex(), "noise_secret": ALICE.noise_secret.hex(), "now": T, "accept": accept, "tolerated": tolerated,
        "reject": [dict(name=n, bytes=b.hex(), error=e) for n, b, e in reject],
        "reject_text": [dict(name=n, text=x, error=e) for n, x, e in texts],
        "spellings": {"bytes": small.hex(), "texts": [dict(name=n, text=x) for n, x in spellings]}})


# ---- safety number ------------------------------------------------------------------------------
def fingerprint(k):
    h = hashlib.sha512(b"\0\1" + k + k).digest()
    for _ in range(5199):
        h = hashlib.sha512(h + k).digest()
    return "".join(f"{int.from_bytes(h[i:i + 5], 'big') % 100000:05}" for i in range(0, 30, 5)), h[:32]


def safety():
    out = []
    for a, b in ((ALICE, BOB), (BOB, ALICE), (ALICE, RELAY), (RELAY, BOB)):
        (da, pa), (db, pb) = fingerprint(a.id), fingerprint(b.id)
        d = "".join(sorted((da, db)))
        code = base64.b32encode(b"\1" + pa + pb).decode().rstrip("=")
        out.append(dict(own=a.id.hex(), peer=b.id.hex(), own_digits=da, number=" ".join(d[i:i + 5] for i in range(0, 60, 5)),
                        qr="SREMP:SAFETY1/" + code))
    assert out[0]["number"] == "24644 03752 14453 56130 95279 21617 50766 15029 48916 16064 44656 04635"
    write("safety_number.json", out)


# ---- content ------------------------------------------------------------------------------------
def content(identity_bytes):
    msg, other, prev = bytes([0xA1]) * 16, bytes([0xB2]) * 16, bytes([0xC3]) * 16
    env_pub = raw(X25519PrivateKey.from_private_bytes(bytes([11]) * 32).public_key())
    env_body = [ALICE.id, 1, 77, env_pub, T, T + 30 * 86400000]
    env = [77, env_pub, T, T + 30 * 86400000, ALICE.sign(b"env-key", smp1(env_body))]
    hints = [[RELAY.id, "relay.example", 33399, 0], [BOB.id, "10.0.0.7", 443, 1]]
    ends = [["alice.example", 33400], ["2001:db8::7", 33400]]
    c = lambda t, body, seq=2, prev=prev, sent=T: smp1([t, msg, seq, prev, sent, body])
    update = [5, identity_bytes, hints, env, ends]
    accept = [("text", 1, ["Hello"], 2, prev), ("text_first_of_all", 1, ["h\u00e9 \U0001F600"], 1, bytes(16)), ("text_empty", 1, [""], 2, prev),
              ("profile_update_full", 4, update, 2, prev), ("profile_update_empty", 4, [2**64 - 1, None, None, None, None], 2, prev),
              ("profile_update_no_more_relays", 4, [6, None, [], None, []], 2, prev),
              ("reset", 5, [1, 300], 2, prev), ("reset_of_a_reason_to_come", 5, [200, 0], 2, prev),
              ("contact_request", 6, [identity_bytes, hints, "Hi, it is me", env, ends], 1, bytes(16)),
              ("contact_accept", 7, [1, None, hints[:1], env, ends[:1]], 1, bytes(16)),
              ("edit", 10, [other, "Hello!"], 2, prev), ("delete", 11, [other], 2, prev), ("reply", 12, [other, "Yes"], 2**32, prev),
              ("reaction", 13, [other, "\U0001F44D\U0001F3FD"], 2, prev), ("reaction_taken_back", 13, [other, ""], 2, prev),
              ("timer", 14, [604800], 2, prev)]
    unknown = [("file_ref", 2, [1, 2, 3]), ("receipt", 3, [[other]]), ("punch", 8, []), ("group", 9, [{"a": [None, True, 1]}]),
               ("type_0", 0, []), ("type_0f", 15, ["x"]), ("type_80", 128, [[[[[]]]]]), ("type_ff", 255, [list(range(20))])]
    head = lambda t: b"\x96" + smp1(t) + smp1(msg) + smp1(2) + smp1(prev) + smp1(T)
    raw_ = lambda t, hexed: head(t) + bytes.fromhex(hexed)
    long = lambda n: c(1, ["x" * n])
    limit = 58 * 1024
    overhead = len(long(limit)) - limit
    ends5, hints4 = [[f"h{i}.example", 1] for i in range(5)], [[RELAY.id, f"h{i}.example", 1, 0] for i in range(4)]
    reject = [
        ("empty", b"", "encoding"), ("trailing_byte", c(1, ["a"]) + b"\0", "encoding"), ("cut", c(1, ["a"])[:-1], "encoding"),
        ("five_elements", smp1([1, msg, 2, prev, T]), "encoding"), ("seventh_element", smp1([1, msg, 2, prev, T, ["a"], None]), "encoding"),
        ("type_as_uint8", b"\x96\xcc\x01" + c(1, ["a"])[2:], "encoding"), ("unknown_type_as_uint8", b"\x96\xcc\x0f" + c(15, [])[2:], "encoding"),
        ("type_256", b"\x96\xcd\x01\x00" + c(1, ["a"])[2:], "encoding"), ("seq_0", c(1, ["a"], seq=0), "seq"),
        ("seq_0_of_unknown_type", c(15, [], seq=0), "seq"),
        ("sent_after_the_year_9999", c(1, ["a"], sent=253402300800000), "encoding"),
        ("msg_id_of_15_bytes", smp1([1, msg[:15], 2, prev, T, ["a"]]), "encoding"), ("prev_of_17_bytes", smp1([1, msg, 2, prev + b"\0", T, ["a"]]), "encoding"),
        ("msg_id_as_array", smp1([1, list(msg), 2, prev, T, ["a"]]), "encoding"), ("head_as_map", b"\x86" + c(1, ["a"])[1:], "encoding"),
        ("text_bare", c(1, "a"), "encoding"), ("text_as_bin", c(1, [b"a"]), "encoding"), ("text_as_str8", raw_(1, "91d90161"), "encoding"),
        ("text_of_two", c(1, ["a", "b"]), "encoding"), ("text_of_none", c(1, []), "encoding"), ("text_of_broken_utf8", raw_(1, "91a2c328"), "encoding"),
        ("text_with_body_of_edit", c(1, [other, "a"]), "encoding"), ("edit_with_body_of_text", c(10, ["a"]), "encoding"),
        ("delete_of_17_bytes", c(11, [other + b"\0"]), "encoding"), ("timer_beyond_u32", c(14, [2**32]), "encoding"),
        ("timer_as_float", raw_(14, "91ca3f800000"), "encoding"), ("reset_reason_256", c(5, [256, 0]), "encoding"),
        ("reaction_of_33_bytes", c(13, [other, "x" * 33]), "limit"),
        ("request_text_above_4_kib", c(6, [identity_bytes, [], "x" * 4097, env, []]), "limit"),
        ("request_without_env", c(6, [identity_bytes, [], "x", None, []]), "encoding"),
        ("request_of_four_relays", c(6, [identity_bytes, hints4, "x", env, []]), "limit"),
        ("request_of_five_endpoints", c(6, [identity_bytes, [], "x", env, ends5]), "limit"),
        ("request_identity_above_16_kib", c(6, [bytes(16385), [], "x", env, []]), "limit"),
        ("request_identity_as_array", c(6, [[1, 2], [], "x", env, []]), "encoding"),
        ("update_of_four_relays", c(4, [1, None, hints4, None, None]), "limit"),
        ("accept_of_five_endpoints", c(7, [1, None, None, None, ends5]), "limit"),
        ("update_without_trailing_nils", c(4, [1, None]), "encoding"),
        ("endpoint_with_port_0", c(4, [1, None, None, None, [["a.example", 0]]]), "encoding"),
        ("endpoint_with_userinfo", c(4, [1, None, None, None, [["u@a.example", 1]]]), "encoding"),
        ("endpoint_upper_case", c(4, [1, None, None, None, [["A.example", 1]]]), "encoding"),
        ("relay_with_weak_key", c(4, [1, None, [[(1).to_bytes(32, "little"), "a.example", 1, 0]], None, None]), "encoding"),
        ("env_signature_of_63_bytes", c(4, [1, None, None, env[:4] + [env[4][:63]], None]), "encoding"),
        ("unknown_type_body_no_array", c(15, "a"), "encoding"), ("unknown_type_body_nil", c(15, None), "encoding"),
        ("unknown_type_body_bin", c(15, b"\x90"), "encoding"), ("unknown_type_trailing_byte", c(15, []) + b"\0", "encoding"),
        ("unknown_type_body_cut", raw_(15, "92c0"), "encoding"), ("unknown_type_too_deep", raw_(15, "91" * 9 + "90"), "encoding"),
        ("unknown_type_array_of_4_gib", raw_(15, "ddffffffff"), "encoding"), ("one_byte_too_long", long(limit - overhead + 1), "encoding"),
    ]
    write("content.json", {
        "msg_id": msg.hex(), "sent": T, "identity": identity_bytes.hex(),
        "env": dict(key_id=77, public=env_pub.hex(), created=T, expires=env[3], signature=env[4].hex()),
        "accept": [dict(name=n, type=t, seq=s, prev=p.hex(), bytes=(b := c(t, body, s, p)).hex(), hash=hashlib.sha256(b).hexdigest()[:32])
                   for n, t, body, s, p in accept],
        "unknown": [dict(name=n, type=t, bytes=c(t, body).hex()) for n, t, body in unknown],
        "largest_text": limit - overhead,
        "reject": [dict(name=n, bytes=b.hex(), error=e) for n, b, e in reject]})


# ---- relay --------------------------------------------------------------------------------------
def le(n, size=8):
    return n.to_bytes(size, "little")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def envelope_like(n, size=1024):
    return (le(n) + b"\x07" * size)[:size]


def confirmation(by, message_id, sender, blob, at, **other):
    c = dict(message_id=message_id, sender=sender, delivered_to=by.id, timestamp=at, blob_hash=sha(blob), label=b"confirmation")
    c.update(other)
    payload = le(c["message_id"]) + c["sender"] + c["delivered_to"] + le(c["timestamp"]) + c["blob_hash"]
    c.setdefault("signature", by.sign(c["label"], payload))
    return [c[k] for k in ("message_id", "sender", "delivered_to", "timestamp", "blob_hash", "signature")]


def leaf(c):
    return sha(b"\0", c["sender"], c["recipient"], le(c["message_id"]), c["blob_hash"], le(c["stored_at"]), le(c["expires_at"]))


def receipts(by, claims, label=b"store-receipt"):
    """`receipt_signature` of each claim of one commit."""
    level, paths, at = [leaf(c) for c in claims], [[] for _ in claims], list(range(len(claims)))
    while len(level) > 1:
        for path, i in zip(paths, range(len(claims))):
            sibling = at[i] ^ 1
            if sibling < len(level):
                path.append(bytes([1 if sibling > at[i] else 0]) + level[sibling])
            at[i] //= 2
        level = [sha(b"\1", *level[i:i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    signature = by.sign(label, level[0])
    return [signature + bytes([len(path)]) + b"".join(path) for path in paths]


def relay():
    h, token, blob, day = b"\x33" * 32, b"\x07" * 16, envelope_like(1), 86400
    auth = lambda role, by=ALICE, to=RELAY, h=h, label=b"relay-auth": by.sign(label, to.id + h + by.id + bytes([role]))
    stored = lambda b=blob, ttl=14 * day, by=ALICE, to=RELAY, rcpt=BOB.id, mid=2**64 - 1: by.sign(
        b"relay-store", to.id + rcpt + le(mid) + sha(b) + le(ttl, 4))
    claim = lambda n=2**64 - 1, b=blob: dict(sender=ALICE.id, recipient=BOB.id, message_id=n, blob_hash=sha(b), stored_at=T, expires_at=T + 14 * day * 1000)
    commit = [claim(n, envelope_like(n)) for n in range(5)]
    paths = receipts(RELAY, commit)
    alone = receipts(RELAY, [claim()])[0]
    conf = confirmation(BOB, 2**64 - 1, ALICE.id, blob, T + 5)
    item = lambda cursor, b=blob, at=T: [2**64 - 1, ALICE.id, at, b, cursor]
    caps = [61440, 14 * day]
    hashed = sha(b"SREMP/1/token", token)
    reply = [RELAY.id, "relay.example", 33399]
    put = lambda r=None, i=None, ttl=14 * day, rcpt=BOB.id, b=blob, sig=None: [rcpt, b, sig or stored(b, ttl), 2**64 - 1, ttl, r, i]
    accept = [
        ("register_owner", 0x101, [ALICE.id, auth(1), caps, 1, b"an invite"]),
        ("register_sender", 0x101, [ALICE.id, auth(2), caps, 2, None]),
        ("register_relay", 0x101, [ALICE.id, auth(3), caps, 3, bytes(64)]),
        ("granted", 0x102, [caps, 10000, 64 << 20, T]),
        ("prekeys_ask", 0x103, [None, []]),
        ("prekeys_put", 0x103, [b"a bundle", [b"one", bytes(1536)]]),
        ("prekey_counts", 0x104, [True, 50]),
        ("prekey_get", 0x105, [BOB.id, None]),
        ("prekey_get_intro", 0x105, [BOB.id, token]),
        ("prekey_get_of_no_key", 0x105, [bytes(32), None]),
        ("prekey_bundle", 0x106, [b"a bundle"]),
        ("senders_none", 0x107, [[], [], None]),
        ("senders", 0x107, [[BOB.id], [RELAY.id], [[hashed, True], [bytes(32), False]]]),
        ("senders_no_tokens", 0x107, [[], [], []]),
        ("senders_64", 0x107, [[BOB.id] * 64, [RELAY.id] * 64, [[hashed, True]] * 64]),
        ("ok", 0x108, []),
        ("store", 0x110, put()),
        ("store_everything", 0x110, put(reply, token, 1)),
        ("stored", 0x111, [True, T, 2**64 - 1, T + 14 * day * 1000, alone, None]),
        ("stored_refused", 0x111, [False, 0, 1, 0, b"", 0x0403]),
        ("stored_refused_for_an_unknown_reason", 0x111, [False, 0, 1, 0, b"", 0xffff]),
        ("subscribe", 0x120, [0, 32, 1 << 20]),
        ("subscribe_most", 0x120, [2**64 - 1, 256, 4 << 20]),
        ("stored_message", 0x121, item(4711)),
        ("retrieve", 0x122, [BOB.id, None, 0, 100, 1 << 20]),
        ("retrieve_since", 0x122, [BOB.id, T, 4711, 1, 1]),
        ("batch_empty", 0x123, [[], False, 0]),
        ("batch", 0x123, [[item(4711), item(4712, envelope_like(2, 2048), T - 9)], True, 4712]),
        ("delivery_confirmation", 0x124, [[conf]]),
        ("delivery_confirmation_256", 0x124, [[conf] * 256]),
        ("confirmed", 0x125, [[]]),
        ("confirmed_but", 0x125, [[0, 7, 255]]),
        ("confirmation_push", 0x126, [[conf, conf]]),
        ("discard", 0x127, [[4711, 2**64 - 1]]),
        ("superseded", 0x128, []),
        ("error", 0xff, [0x0305, 60, "slow down"]),
    ]
    reject = [
        ("register_role_0", 0x101, [ALICE.id, auth(1), caps, 0, None]),
        ("register_role_4", 0x101, [ALICE.id, auth(1), caps, 4, None]),
        ("register_invite_empty", 0x101, [ALICE.id, auth(1), caps, 1, b""]),
        ("register_invite_of_65", 0x101, [ALICE.id, auth(1), caps, 1, bytes(65)]),
        ("register_identity_of_31", 0x101, [ALICE.id[:31], auth(1), caps, 1, None]),
        ("register_capabilities_flat", 0x101, [ALICE.id, auth(1), *caps, 1, None]),
        ("register_signature_of_63", 0x101, [ALICE.id, auth(1)[:63], caps, 1, None]),
        ("register_an_element_more", 0x101, [ALICE.id, auth(1), caps, 1, None, None]),
        ("granted_after_the_year_9999", 0x102, [caps, 1, 1, 253402300800000]),
        ("prekeys_101", 0x103, [None, [b"x"] * 101]),
        ("prekeys_one_of_1537", 0x103, [None, [bytes(1537)]]),
        ("prekeys_bundle_too_large", 0x103, [bytes(24577), []]),
        ("prekeys_as_text", 0x103, [None, ["x"]]),
        ("prekey_counts_as_number", 0x104, [1, 50]),
        ("prekey_get_token_of_15", 0x105, [BOB.id, token[:15]]),
        ("senders_65", 0x107, [[BOB.id] * 65, [], None]),
        ("senders_65_blocked", 0x107, [[], [BOB.id] * 65, None]),
        ("senders_65_tokens", 0x107, [[], [], [[hashed, True]] * 65]),
        ("senders_bare_token", 0x107, [[], [], [hashed]]),
        ("ok_with_something", 0x108, [1]),
        ("store_ttl_0", 0x110, put(ttl=0)),
        ("store_ttl_beyond_u32", 0x110, put()[:4] + [2**32, None, None]),
        ("store_reply_host_with_user", 0x110, put([RELAY.id, "u@relay.example", 1])),
        ("store_reply_port_0", 0x110, put([RELAY.id, "relay.example", 0])),
        ("store_reply_host_number", 0x110, put([RELAY.id, "127.1", 1])),
        ("store_reply_with_priority", 0x110, put(reply + [0])),
        ("store_without_trailing_nils", 0x110, put()[:5]),
        ("store_blob_as_array", 0x110, [BOB.id, [7, 7], *put()[2:]]),
        ("stored_and_refused", 0x111, [True, T, 1, T, alone, 1]),
        ("neither_stored_nor_refused", 0x111, [False, 0, 1, 0, b"", None]),
        ("refused_with_a_receipt", 0x111, [False, 0, 1, 0, alone, 1]),
        ("refused_with_a_time", 0x111, [False, T, 1, 0, b"", 1]),
        ("subscribe_0_items", 0x120, [0, 0, 1]),
        ("subscribe_257_items", 0x120, [0, 257, 1]),
        ("subscribe_0_bytes", 0x120, [0, 1, 0]),
        ("subscribe_too_many_bytes", 0x120, [0, 1, (4 << 20) + 1]),
        ("retrieve_0_items", 0x122, [BOB.id, None, 0, 0, 1]),
        ("retrieve_101_items", 0x122, [BOB.id, None, 0, 101, 1]),
        ("retrieve_0_bytes", 0x122, [BOB.id, None, 0, 1, 0]),
        ("retrieve_too_many_bytes", 0x122, [BOB.id, None, 0, 1, (1 << 20) + 1]),
        ("batch_of_101", 0x123, [[item(n + 1, b"") for n in range(101)], False, 101]),
        ("confirm_nothing", 0x124, [[]]),
        ("confirm_257", 0x124, [[conf] * 257]),
        ("confirm_without_signature", 0x124, [[conf[:5]]]),
        ("confirm_bare", 0x124, conf),
        ("confirmed_twice_the_same", 0x125, [[1, 1]]),
        ("confirmed_unsorted", 0x125, [[2, 1]]),
        ("push_nothing", 0x126, [[]]),
        ("discard_nothing", 0x127, [[]]),
        ("discard_257", 0x127, [[2**64 - 1] * 257]),
        ("superseded_with_something", 0x128, [0]),
        ("error_with_a_text_of_129", 0xff, [1, 0, "x" * 129]),
    ]
    bad = paths[2]
    reject_receipts = [
        ("cut", bad[:-1]), ("trailing_byte", bad + b"\0"), ("count_too_low", bad[:64] + b"\2" + bad[65:]),
        ("count_too_high", bad[:64] + b"\4" + bad[65:]), ("side_2", bad[:65] + b"\2" + bad[66:]), ("empty", b""),
        ("signature_alone", bad[:64]), ("path_of_17", bad[:64] + bytes([17]) + bytes(17 * 33)),
    ]
    other = dict(commit[2], message_id=9)
    false_receipts = [
        ("side_turned", bad[:65] + bytes([bad[65] ^ 1]) + bad[66:]), ("sibling_changed", bad[:66] + bytes([bad[66] ^ 1]) + bad[67:]),
        ("steps_swapped", bad[:65] + bad[98:131] + bad[65:98] + bad[131:]), ("of_another_claim", paths[1]),
        ("without_path", bad[:64] + b"\0"), ("s_plus_l", plus_l(bad[:64]) + bad[64:]), ("other_commit", receipts(RELAY, [other])[0]),
        ("other_relay", receipts(BOB, commit)[2]), ("other_label", receipts(RELAY, commit, b"relay-store")[2]),
        ("node_as_leaf", RELAY.sign(b"store-receipt", leaf(commit[2])[::-1]) + b"\0"),
    ]
    false_confirmations = [
        ("other_label", confirmation(BOB, 1, ALICE.id, blob, T, label=b"store-receipt")),
        ("other_signer", confirmation(RELAY, 1, ALICE.id, blob, T, delivered_to=BOB.id)),
        ("s_plus_l", (good := confirmation(BOB, 1, ALICE.id, blob, T))[:5] + [plus_l(good[5])]),
        ("other_id", [2] + good[1:]), ("other_sender", good[:1] + [RELAY.id] + good[2:]), ("other_time", good[:3] + [T + 1] + good[4:]),
        ("other_blob", good[:4] + [sha(b"x")] + good[5:]), ("not_a_key", good[:2] + [bytes(32)] + good[3:]),
        ("weak_key", [1, ALICE.id, le(1, 32), T, sha(blob), le(1, 32) + bytes(32)]),
    ]
    message = lambda t, body: smp1([t, 0x1234, body])
    write("relay.json", {
        "alice": ALICE.id.hex(), "bob": BOB.id.hex(), "relay": RELAY.id.hex(), "handshake_hash": h.hex(), "token": token.hex(), "token_hash": hashed.hex(),
        "blob": blob.hex(), "req_id": 0x1234,
        "accept": [dict(name=n, type=t, message=message(t, b).hex()) for n, t, b in accept],
        "reject": [dict(name=n, type=t, message=message(t, b).hex()) for n, t, b in reject],
        "auth": [dict(role=r, signature=auth(r).hex()) for r in (1, 2, 3)],
        "store": dict(message_id=2**64 - 1, ttl=14 * day, signature=stored().hex()),
        "confirmation": smp1(conf).hex(),
        "false_confirmations": [dict(name=n, bytes=smp1(c).hex()) for n, c in false_confirmations],
        "commit": [dict(message_id=c["message_id"], blob_hash=c["blob_hash"].hex(), stored_at=T, expires_at=c["expires_at"], receipt=r.hex())
                   for c, r in zip(commit, paths)],
        "false_receipts_of_2": [dict(name=n, bytes=b.hex()) for n, b in false_receipts],
        "reject_receipts": [dict(name=n, bytes=b.hex()) for n, b in reject_receipts]})


# ---- rendezvous ---------------------------------------------------------------------------------
def rendezvous():
    exporter, spki, hour = b"\x44" * 32, b"\x55" * 32, 3600_000
    doc_of = {ALICE.id: doc(), BOB.id: smp1([v := smp1(fields(username="bob", identity_key=BOB.id, noise_key=BOB.noise)), BOB.sign(b"identity", v)])}
    places = [["alice.example", 33400], ["2001:db8::7", 443]]
    hint = [RELAY.id, "relay.example", 33399, 0]

    def fields_of(by=ALICE, **other):
        f = dict(identity_key=by.id, seq=T, endpoints=places, issued=T, expires=T + hour, visibility=0, relays=[])
        f.update(other)
        return list(f.values())

    record = lambda by=ALICE, **other: smp1(fields_of(by, **other))
    proof = lambda r, by=ALICE, e=exporter, identity=None, label=b"rdv-proof": by.sign(label, e + sha(identity or doc_of[by.id]) + sha(r))
    signed_record = lambda r, by=ALICE, label=b"rdv-record": by.sign(label, r)
    four = [[f"{c}.example", 1] for c in "abcd"]
    three = [[p.id, f"{n}.example", 1, n] for n, p in enumerate((RELAY, BOB, ALICE))]
    records = [
        ("plain", record()), ("listed", record(visibility=1)), ("tombstone", record(endpoints=[], seq=T + 1)),
        ("relays_only", record(endpoints=[], relays=[hint])), ("everything", record(endpoints=four, relays=three, visibility=1)),
        ("shortest_life", record(expires=T + 60_000)), ("longest_life", record(expires=T + 24 * hour)), ("seq_0", record(seq=0)),
    ]
    swap = lambda i, hexed: b"\x97" + b"".join(bytes.fromhex(hexed) if n == i else smp1(v) for n, v in enumerate(fields_of()))
    one = (1).to_bytes(32, "little")
    # each of them correctly signed by Alice
    false_records = [
        ("trailing_byte", record() + b"\0", "encoding"), ("as_map", smp1({"a": 1}), "encoding"), ("empty", b"", "encoding"),
        ("without_relays", b"\x96" + record()[1:-1], "encoding"), ("an_element_more", b"\x98" + record()[1:] + b"\xc0", "encoding"),
        ("seq_long_form", swap(1, "cf0000000000000001"), "encoding"), ("visibility_2", record(visibility=2), "encoding"),
        ("visibility_as_bool", swap(5, "c2"), "encoding"), ("endpoint_with_user", record(endpoints=[["u@a.example", 1]]), "encoding"),
        ("endpoint_of_port_0", record(endpoints=[["a.example", 0]]), "encoding"), ("endpoint_as_number", record(endpoints=[["127.1", 1]]), "encoding"),
        ("endpoint_in_capitals", record(endpoints=[["A.example", 1]]), "encoding"), ("endpoint_of_three", record(endpoints=[["a.example", 1, 0]]), "encoding"),
        ("relay_of_a_weak_key", record(relays=[[one, "a.example", 1, 0]]), "encoding"), ("after_the_year_9999", record(issued=253402300799999, expires=253402300800000), "encoding"),
        ("of_somebody_else", smp1(fields_of(BOB)), "fields"), ("five_endpoints", record(endpoints=four + [["e.example", 1]]), "fields"),
        ("an_endpoint_twice", record(endpoints=[places[0], places[1], places[0]]), "fields"), ("four_relays", record(relays=[hint] * 4), "fields"),
        ("a_relay_twice", record(relays=[hint, [RELAY.id, "other.example", 1, 1]]), "fields"), ("life_of_59_s", record(expires=T + 59_999), "fields"),
        ("life_of_more_than_a_day", record(expires=T + 24 * hour + 1), "fields"), ("expires_before_it_is_issued", record(expires=T - hour), "fields"),
        ("too_long", record(relays=[[RELAY.id, ".".join(["a" * 63] * 4)[:253], 1, n] for n in range(10)]), "encoding"),
    ]
    good = record()
    false_signatures = [
        ("other_label", signed_record(good, label=b"rdv-proof")), ("server_label", signed_record(good, label=b"server-record")),
        ("other_signer", signed_record(good, BOB)), ("no_label", ALICE.key.sign(good)), ("s_plus_l", plus_l(signed_record(good))),
        ("other_record", signed_record(record(seq=T + 1))),
    ]
    false_proofs = [
        ("other_connection", proof(good, e=b"\x45" * 32)), ("other_identity", proof(good, identity=doc_of[BOB.id])), ("other_record", proof(record(seq=T + 1))),
        ("other_signer", proof(good, BOB, identity=doc_of[ALICE.id])), ("other_label", proof(good, label=b"rdv-record")), ("s_plus_l", plus_l(proof(good))),
    ]
    day = 24 * hour
    server = lambda **o: list((dict(server_key=RELAY.id, host="rdv.example", port=443, spki=None, issued=T, expires=T + 30 * day) | o).values())
    signed_server = lambda by=RELAY, label=b"server-record", **o: [r := smp1(server(**o)), by.sign(label, r)]
    false_servers = [
        ("other_label", signed_server(label=b"rdv-record"), "signature"), ("other_signer", signed_server(BOB), "signature"),
        ("life_of_more_than_30_days", signed_server(expires=T + 30 * day + 1), "fields"), ("no_life", signed_server(expires=T), "fields"),
        ("host_with_user", signed_server(host="u@rdv.example"), "fields"), ("port_0", signed_server(port=0), "fields"),
        ("spki_of_31", signed_server(spki=spki[:31]), "encoding"), ("weak_key", signed_server(server_key=one), "encoding"),
        ("trailing_byte", [r := smp1(server()) + b"\0", RELAY.sign(b"server-record", r)], "encoding"),
    ]
    register = [doc_of[ALICE.id], good, signed_record(good), proof(good)]
    peer = lambda by=ALICE, seen=None, online=None, **o: [doc_of[by.id], r := record(by, **o), signed_record(r, by), seen, online]
    cursor = b"\x66" * 32
    accept = [
        ("register", 0x201, register),
        ("registered", 0x202, [True, T + hour, 1800, None, None]),
        ("not_registered", 0x202, [False, 0, 0, "a newer record is known", 0x0302]),
        ("not_registered_without_words", 0x202, [False, 0, 0, None, 0xffff]),
        ("lookup", 0x203, [ALICE.id, False, None]),
        ("lookup_of_no_key", 0x203, [bytes(32), False, None]),
        ("list", 0x203, [None, True, None]),
        ("list_on", 0x203, [None, True, cursor]),
        ("found", 0x204, [[peer()], None, None]),
        ("not_found", 0x204, [[], None, None]),
        ("page", 0x204, [[peer(seen=T, online=True, visibility=1), peer(BOB, seen=0, online=False, visibility=1)], None, cursor]),
        ("page_of_20", 0x204, [[peer(seen=T, online=True, visibility=1)] * 20, None, None]),
        ("list_servers", 0x205, [None]),
        ("list_servers_of_a_server", 0x205, [signed_server(spki=spki)]),
        ("servers_none", 0x206, [[], T]),
        ("servers_64", 0x206, [[signed_server()] * 64, T]),
        ("address_request", 0x207, []),
        ("address", 0x208, ["192.0.2.7"]),
        ("address_v6", 0x208, ["2001:db8::7"]),
        ("error", 0xff, [0x0305, 60, "slow down"]),
    ]
    reject = [
        ("register_identity_as_array", 0x201, [[1], *register[1:]]),
        ("register_identity_too_long", 0x201, [bytes(16385), *register[1:]]),
        ("register_record_too_long", 0x201, [register[0], bytes(2561), *register[2:]]),
        ("register_without_proof", 0x201, register[:3]),
        ("register_proof_of_63", 0x201, [*register[:3], register[3][:63]]),
        ("registered_with_a_code", 0x202, [True, T, 1, None, 1]),
        ("registered_with_words", 0x202, [True, T, 1, "well", None]),
        ("neither_registered_nor_not", 0x202, [False, 0, 0, None, None]),
        ("not_registered_with_a_time", 0x202, [False, T, 0, None, 1]),
        ("not_registered_with_an_interval", 0x202, [False, 0, 1, None, 1]),
        ("not_registered_in_129_bytes", 0x202, [False, 0, 0, "x" * 129, 1]),
        ("lookup_of_one_and_all", 0x203, [ALICE.id, True, None]),
        ("lookup_of_nobody", 0x203, [None, False, None]),
        ("lookup_of_one_with_a_cursor", 0x203, [ALICE.id, False, cursor]),
        ("lookup_of_31", 0x203, [ALICE.id[:31], False, None]),
        ("list_with_a_short_cursor", 0x203, [None, True, cursor[:31]]),
        ("page_of_21", 0x204, [[peer()] * 21, None, None]),
        ("found_without_presence", 0x204, [[peer()[:3]], None, None]),
        ("found_with_a_record_too_long", 0x204, [[[doc_of[ALICE.id], bytes(2561), bytes(64), None, None]], None, None]),
        ("found_in_129_bytes", 0x204, [[], "x" * 129, None]),
        ("list_servers_bare", 0x205, []),
        ("list_servers_too_long", 0x205, [[bytes(385), bytes(64)]]),
        ("servers_65", 0x206, [[signed_server()] * 65, T]),
        ("servers_without_a_time", 0x206, [[]]),
        ("address_request_with_something", 0x207, [None]),
        ("address_by_name", 0x208, ["alice.example"]),
        ("address_long_form", 0x208, ["2001:db8:0::7"]),
        ("error_with_a_text_of_129", 0xff, [1, 0, "x" * 129]),
    ]
    message = lambda t, body: smp1([t, 0x1234, body])
    framed = lambda m: le(len(m), 4) + m
    write("rendezvous.json", {
        "alice": ALICE.id.hex(), "bob": BOB.id.hex(), "server": RELAY.id.hex(), "exporter": exporter.hex(), "spki": spki.hex(),
        "identity": doc_of[ALICE.id].hex(), "identity_of_bob": doc_of[BOB.id].hex(), "req_id": 0x1234,
        "records": [dict(name=n, record=r.hex(), record_sig=signed_record(r).hex(), proof=proof(r).hex()) for n, r in records],
        "false_records": [dict(name=n, record=r.hex(), record_sig=signed_record(r).hex(), error=e) for n, r, e in false_records],
        "record": good.hex(), "record_sig": signed_record(good).hex(),
        "false_signatures": [dict(name=n, record_sig=x.hex()) for n, x in false_signatures],
        "false_proofs": [dict(name=n, proof=x.hex()) for n, x in false_proofs],
        "server_records": [dict(name=n, record=r.hex(), signature=x.hex()) for n, (r, x) in
                           (("by_name", signed_server()), ("pinned", signed_server(spki=spki)), ("at_an_address", signed_server(host="192.0.2.7", port=33400, spki=spki, expires=T + 1)))],
        "false_server_records": [dict(name=n, record=r.hex(), signature=x.hex(), error=e) for n, (r, x), e in false_servers],
        "frame": framed(message(0x207, [])).hex(),
        "accept": [dict(name=n, type=t, message=message(t, b).hex()) for n, t, b in accept],
        "reject": [dict(name=n, type=t, message=message(t, b).hex()) for n, t, b in reject]})


content(identity())
cards()
safety()
relay()
rendezvous()
