#!/usr/bin/env python3
"""Computes every example of these chapters from the text alone, without our Rust code.

    python3 -m venv v && v/bin/pip install cryptography kyber-py
    v/bin/python examples.py           writes examples.json
    v/bin/python examples.py --check   compares it with what is computed

All private keys are one byte repeated; in real use they are random.
"""

import base64, hashlib, hmac, json, pathlib, struct, sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from kyber_py.ml_kem import ML_KEM_768

OUT = {}


def show(chapter, name, value):
    OUT.setdefault(chapter, {})[name] = value.hex() if isinstance(value, bytes) else value
    return value


# ---- chapter 0 --------------------------------------------------------------------------------

def smp1(v):
    """The one encoding of a value: None, bool, int, str, bytes, list or dict."""
    def head(fix, n, *forms):
        if fix is not None and n < fix[1]:
            return bytes([fix[0] | n])
        for code, size in forms:
            if n < 256 ** size:
                return bytes([code]) + n.to_bytes(size, "big")
    if v is None:
        return b"\xc0"
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return head((0x00, 128), v, (0xcc, 1), (0xcd, 2), (0xce, 4), (0xcf, 8))
    if isinstance(v, str):
        b = v.encode()
        return head((0xa0, 32), len(b), (0xd9, 1), (0xda, 2), (0xdb, 4)) + b
    if isinstance(v, bytes):
        return head(None, len(v), (0xc4, 1), (0xc5, 2), (0xc6, 4)) + v
    if isinstance(v, list):
        return head((0x90, 16), len(v), (0xdc, 2), (0xdd, 4)) + b"".join(map(smp1, v))
    items = sorted(v.items(), key=lambda kv: kv[0].encode())
    return head((0x80, 16), len(v), (0xde, 2), (0xdf, 4)) + b"".join(smp1(x) for kv in items for x in kv)


def H(b):
    return hashlib.sha256(b).digest()


def hkdf(salt, ikm, info, n):
    prk, out, t = hmac.digest(salt, ikm, "sha256"), b"", b""
    for i in range(1, 255):
        t = hmac.digest(prk, t + info + bytes([i]), "sha256")
        out += t
        if len(out) >= n:
            return out[:n]


def sign(seed, label, payload):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(b"SREMP/1/" + label.encode() + b"\0" + payload)


def ed_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def x_public(k):
    return X25519PrivateKey.from_private_bytes(k).public_key().public_bytes_raw()


def dh(k, pub):
    return X25519PrivateKey.from_private_bytes(k).exchange(X25519PublicKey.from_public_bytes(pub))


def u16(n): return struct.pack("<H", n)
def u32(n): return struct.pack("<I", n)
def u64(n): return struct.pack("<Q", n)
def nonce(n): return bytes(4) + u64(n)


NOW = 1_760_000_000_000
DAY = 86_400_000
A = dict(seed=b"\x01" * 32, noise=b"\x02" * 32, name="alice", dhk=b"\x11" * 32)
B = dict(seed=b"\x05" * 32, noise=b"\x06" * 32, name="bob", dhk=b"\x12" * 32)


# ---- chapter 2 --------------------------------------------------------------------------------

def identity(who, version=1, extensions=None):
    verified = smp1([who["name"], ed_public(who["seed"]), x_public(who["noise"]),
                     [False] * 4, extensions, version, NOW])
    return verified, smp1([verified, sign(who["seed"], "identity", verified)])


for who in (A, B):
    who["id"] = ed_public(who["seed"])
    who["verified"], who["identity"] = identity(who)
    show("02-identity", f"{who['name']}_identity_key", who["id"])
    show("02-identity", f"{who['name']}_noise_key", x_public(who["noise"]))
    show("02-identity", f"{who['name']}_verified", who["verified"])
    show("02-identity", f"{who['name']}_identity", who["identity"])
tomb = identity(A, 2 ** 53, [None, {"sremp.tombstone": b"\x01"}])
show("02-identity", "alice_tombstone_verified", tomb[0])
show("02-identity", "alice_tombstone_identity", tomb[1])


# ---- chapter 1 --------------------------------------------------------------------------------

class Noise:
    """Noise_XX_25519_ChaChaPoly_BLAKE2s with empty payloads (revision 34)."""

    NAME = b"Noise_XX_25519_ChaChaPoly_BLAKE2s"

    def __init__(self, prologue, s, e):
        self.h = hashlib.blake2s(self.NAME).digest()  # 33 bytes: hashed
        self.ck, self.k, self.n = self.h, None, 0
        self.mix(prologue)
        self.s, self.e = s, e

    def mix(self, data):
        self.h = hashlib.blake2s(self.h + data).digest()

    def mix_key(self, secret):
        prk = hmac.digest(self.ck, secret, "blake2s")
        self.ck = hmac.digest(prk, b"\x01", "blake2s")
        self.k, self.n = hmac.digest(prk, self.ck + b"\x02", "blake2s"), 0

    def seal(self, plain):
        c = plain
        if self.k:
            c = ChaCha20Poly1305(self.k).encrypt(nonce(self.n), plain, self.h)
            self.n += 1
        self.mix(c)
        return c

    def open(self, c):
        p = c
        if self.k:
            p = ChaCha20Poly1305(self.k).decrypt(nonce(self.n), c, self.h)
            self.n += 1
        self.mix(c)
        return p

    def split(self):
        prk = hmac.digest(self.ck, b"", "blake2s")
        k1 = hmac.digest(prk, b"\x01", "blake2s")
        return k1, hmac.digest(prk, k1 + b"\x02", "blake2s")


def noise_xx(prologue, si, ei, sr, er):
    i, r = Noise(prologue, si, ei), Noise(prologue, sr, er)
    m1 = x_public(ei)                                   # -> e
    i.mix(m1), r.mix(m1)
    m1 += i.seal(b"")
    r.open(b"")
    e = x_public(er)                                    # <- e, ee, s, es
    for side, secret in ((r, dh(er, x_public(ei))), (i, dh(ei, e))):
        side.mix(e), side.mix_key(secret)
    s = r.seal(x_public(sr))
    i.open(s)
    r.mix_key(dh(sr, x_public(ei))), i.mix_key(dh(ei, x_public(sr)))
    p = r.seal(b"")
    i.open(p)
    m2 = e + s + p
    s = i.seal(x_public(si))                            # -> s, se
    r.open(s)
    i.mix_key(dh(si, e)), r.mix_key(dh(er, x_public(si)))
    p = i.seal(b"")
    r.open(p)
    m3 = s + p
    assert i.h == r.h and i.split() == r.split()
    return m1, m2, m3, i.h, i.split()


HEADER = show("01-transport", "version_header", b"SREMP\x01\x00")
m1, m2, m3, h, (k_ir, k_ri) = noise_xx(HEADER, A["noise"], b"\x03" * 32, B["noise"], b"\x04" * 32)
show("01-transport", "initiator_flight_1", HEADER + u16(len(m1)) + m1)
show("01-transport", "responder_flight", HEADER + u16(len(m2)) + m2)
show("01-transport", "message_3_frame", u16(len(m3)) + m3)
show("01-transport", "handshake_hash", h)
show("01-transport", "key_initiator_to_responder", k_ir)
show("01-transport", "key_responder_to_initiator", k_ri)


def hello(intended, ident, intro=None, features=0):
    fields = [HEADER, 1, intended, ident, intro, features]
    base = 1 + len(smp1(fields + [b""]))       # with the type byte; an empty bin takes 2 bytes
    total = -(-base // 1024) * 1024
    while True:
        for pad in (total - base, total - base - 1):
            if pad >= 0 and 1 + len(smp1(fields + [bytes(pad)])) == total:
                return b"\x07" + smp1(fields + [bytes(pad)])
        total += 1024


def frame(key, n, plain):
    c = ChaCha20Poly1305(key).encrypt(nonce(n), plain, b"")
    return u16(len(c)) + c


h_a = show("01-transport", "initiator_hello", hello(B["id"], A["identity"]))
h_b = show("01-transport", "responder_hello", hello(A["id"], B["identity"]))
show("01-transport", "initiator_hello_frame", frame(k_ir, 0, h_a))
show("01-transport", "responder_hello_frame", frame(k_ri, 0, h_b))
ping = b"\x03" + bytes(range(1, 9))
show("01-transport", "ping", ping)
show("01-transport", "ping_frame_n1", frame(k_ir, 1, ping))
show("01-transport", "rekey_frame_n2", frame(k_ir, 2, b"\x05"))
k_new = ChaCha20Poly1305(k_ir).encrypt(nonce(2 ** 64 - 1), bytes(32), b"")[:32]
show("01-transport", "key_after_rekey", k_new)
show("01-transport", "ping_frame_n3_rekeyed", frame(k_new, 3, ping))
show("01-transport", "close_going_away", b"\x06" + u16(0x000B))
show("01-transport", "close_stale_identity_7", b"\x06" + u16(0x0104) + b"7")
big = bytes(range(256)) * 274  # 70144 bytes
show("01-transport", "chunk_2_of_3_header", b"\x02" + u64(0) + u16(2) + u16(3) + u16(len(big) - 65536))
for name, msg in {
    "prekey_req": [3, 1, []],
    "identity_get_7": [5, 2, [7]],
    "identity_is_nil": [6, 2, [None]],
    "error_rate_limited": [0xFF, 1, [0x0305, 60, ""]],
    "envelope_ok": [2, 0x1234, [b"\xee" * 32]],
}.items():
    show("01-transport", f"msg_{name}", b"\x01" + smp1(msg))


# ---- chapter 3 --------------------------------------------------------------------------------

SUITE = b"\x01"
NONE = 0xFFFFFFFF


def signed(who, label, key_id, publics, created, expires):
    payload = smp1([who["id"], 1, key_id, *publics, created, expires])
    return payload, sign(who["seed"], label, payload)


def kem_pair(d, z):
    return ML_KEM_768.key_derive(d + z)


dhk = {}
for who in (A, B):
    who["dhk_pub"] = x_public(who["dhk"])
    who["dhk_payload"], who["dhk_sig"] = signed(who, "dh-key", 0, [who["dhk_pub"]], NOW, 0)
spk_x, otp_x, env_x = b"\x13" * 32, b"\x16" * 32, b"\x19" * 32
spk_kem, _ = kem_pair(b"\x14" * 32, b"\x15" * 32)
otp_kem, otp_dk = kem_pair(b"\x17" * 32, b"\x18" * 32)
SPK_ID, OTP_ID, ENV_ID = 0x01020304, 0x0A0B0C0D, 0x11223344
_, spk_sig = signed(B, "spk", SPK_ID, [x_public(spk_x), spk_kem], NOW, NOW + 14 * DAY)
_, otp_sig = signed(B, "otp", OTP_ID, [x_public(otp_x), otp_kem], NOW, NOW + 46 * DAY)
env_payload, env_sig = signed(B, "env-key", ENV_ID, [x_public(env_x)], NOW, NOW + 46 * DAY)
bundle = smp1([
    1, B["identity"], 1,
    [B["dhk_pub"], NOW, 0, B["dhk_sig"]],
    [SPK_ID, x_public(spk_x), spk_kem, NOW, NOW + 14 * DAY, spk_sig],
    [ENV_ID, x_public(env_x), NOW, NOW + 46 * DAY, env_sig],
    [OTP_ID, x_public(otp_x), otp_kem, NOW, NOW + 46 * DAY, otp_sig],
])
show("03-sessions", "dhk_alice_payload", A["dhk_payload"])
show("03-sessions", "dhk_alice_signature", A["dhk_sig"])
show("03-sessions", "env_bob_payload", env_payload)
show("03-sessions", "env_bob_signature", env_sig)
show("03-sessions", "bundle", bundle)


def agree(ek, m, with_otp=True):
    """Alice's side of PQXDH."""
    kem_pk = otp_kem if with_otp else spk_kem
    ss, ct = ML_KEM_768._encaps_internal(kem_pk, m)
    dhs = [dh(A["dhk"], x_public(spk_x)), dh(ek, B["dhk_pub"]), dh(ek, x_public(spk_x))]
    if with_otp:
        dhs.append(dh(ek, x_public(otp_x)))
    th = H(b"SREMP/1/pqxdh\0" + SUITE + A["id"] + A["dhk_pub"] + x_public(ek) + B["id"] + B["dhk_pub"]
           + u32(SPK_ID) + x_public(spk_x) + u32(OTP_ID if with_otp else NONE)
           + (x_public(otp_x) if with_otp else bytes(32)) + H(kem_pk) + H(ct))
    okm = hkdf(bytes(32), b"\xff" * 32 + b"".join(dhs) + ss, b"SREMP/1/pqxdh\0" + th, 80)
    return dhs, ss, ct, th, okm


EK = b"\x1a" * 32
dhs, ss, ct, th, okm = agree(EK, b"\x1b" * 32)
assert ML_KEM_768.decaps(otp_dk, ct) == ss
for n, d in enumerate(dhs, 1):
    show("03-sessions", f"dh{n}", d)
show("03-sessions", "kem_ciphertext", ct)
show("03-sessions", "kem_shared_secret", ss)
show("03-sessions", "th", th)
SK, SID = okm[:32], okm[32:48]
show("03-sessions", "sk", SK)
show("03-sessions", "session_id", SID)
show("03-sessions", "th_without_otp", agree(EK, b"\x1b" * 32, False)[3])
show("03-sessions", "session_id_without_otp", agree(EK, b"\x1b" * 32, False)[4][32:48])


def kdf_rk(rk, secret):
    out = hkdf(rk, secret, b"SREMP/1/rk", 64)
    return out[:32], out[32:]


def kdf_ck(ck):
    return hmac.digest(ck, b"\x01", "sha256"), hmac.digest(ck, b"\x02", "sha256")


def seal_dr(ck, who, role, epoch, pub, pn, n, content, init=b""):
    key_sig = sign(who["seed"], "ratchet-key", SID + bytes([role]) + u32(epoch) + pub)
    header = b"\x01" + SUITE + pub + key_sig + u32(pn) + u32(n) + u16(0)
    ad = (b"SREMP/1/dr-ad\0" + SUITE + A["id"] + B["id"] + A["dhk_pub"] + B["dhk_pub"] + SID + init + header)
    mk, ck = kdf_ck(ck)
    kn = hkdf(bytes(32), mk, b"SREMP/1/mk", 44)
    return ck, ad, mk, header + ChaCha20Poly1305(kn[:32]).encrypt(kn[32:], content, ad)


def content(kind, msg, seq, prev, body):
    return smp1([kind, bytes([msg]) * 16, seq, prev, NOW, body])


# Alice's first: TEXT, as if Bob had added her before
a0 = b"\x1c" * 32
rk, cks = kdf_rk(SK, dh(a0, x_public(spk_x)))
show("03-sessions", "rk_1", rk)
show("03-sessions", "ck_a0", cks)
c1 = show("03-sessions", "content_1", content(1, 0x21, 1, bytes(16), ["hello"]))
init = (b"\x02" + SUITE + u32(1) + A["id"] + A["dhk_pub"] + u64(NOW) + u64(0) + A["dhk_sig"]
        + x_public(EK) + u32(SPK_ID) + u32(OTP_ID) + ct)
assert len(init) == 1278
cks, ad1, mk1, dr1 = seal_dr(cks, A, 0, 0, x_public(a0), 0, 0, c1, init)
show("03-sessions", "ad_1", ad1)
show("03-sessions", "mk_1", mk1)
show("03-sessions", "dr_init_1", init + dr1)
c2 = show("03-sessions", "content_2", content(1, 0x22, 2, H(c1)[:16], ["are you there?"]))
cks, _, _, dr2 = seal_dr(cks, A, 0, 0, x_public(a0), 0, 1, c2, init)
show("03-sessions", "dr_init_2", init + dr2)
# Bob answers: his first ratchet key after SPK
b0 = b"\x1d" * 32
rk, ckb = kdf_rk(rk, dh(b0, x_public(a0)))
show("03-sessions", "rk_2", rk)
show("03-sessions", "ck_b0", ckb)
c3 = show("03-sessions", "content_3", content(1, 0x23, 1, bytes(16), ["yes"]))
ckb, ad3, mk3, dr3 = seal_dr(ckb, B, 1, 0, x_public(b0), 0, 0, c3)
show("03-sessions", "ad_3", ad3)
show("03-sessions", "dr_normal_3", dr3)
# Alice's next key; her chain before had 2 messages
a1 = b"\x1e" * 32
rk, cks = kdf_rk(rk, dh(a1, x_public(b0)))
c4 = show("03-sessions", "content_4", content(1, 0x24, 3, H(c2)[:16], ["good"]))
cks, _, _, dr4 = seal_dr(cks, A, 0, 1, x_public(a1), 2, 0, c4)
show("03-sessions", "dr_normal_4", dr4)

# the vectors of the key schedule alone
r, c = kdf_rk(b"\x03" * 32, b"\x04" * 32)
show("03-sessions", "kdf_rk_03_04", r + c)
m, c = kdf_ck(c)
show("03-sessions", "kdf_ck_of_it", m + c)
show("03-sessions", "mk_step_of_it", hkdf(bytes(32), m, b"SREMP/1/mk", 44))

BUCKETS = [1024, 2048, 4096, 8192, 16384, 32768, 61440]


def hpke_seal(pub, ikm, info, aad, plain):
    """RFC 9180 base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, sequence 0.

    The ephemeral key pair is DeriveKeyPair(ikm), section 7.1.3."""
    kem, suite = b"KEM" + b"\0\x20", b"HPKE" + b"\0\x20\0\x01\0\x03"
    def extract(s, salt, label, ikm): return hmac.digest(salt, b"HPKE-v1" + s + label + ikm, "sha256")
    def expand(s, prk, label, info, n):
        info, out, t = n.to_bytes(2, "big") + b"HPKE-v1" + s + label + info, b"", b""
        while len(out) < n:
            t = hmac.digest(prk, t + info + bytes([len(out) // 32 + 1]), "sha256")
            out += t
        return out[:n]
    ske = expand(kem, extract(kem, b"", b"dkp_prk", ikm), b"sk", b"", 32)
    enc = x_public(ske)
    shared = expand(kem, extract(kem, b"", b"eae_prk", dh(ske, pub)), b"shared_secret", enc + pub, 32)
    ctx = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, shared, b"secret", b"")
    key, base = expand(suite, secret, b"key", ctx, 32), expand(suite, secret, b"base_nonce", ctx, 12)
    return enc, ChaCha20Poly1305(key).encrypt(base, plain, aad)


def envelope(recipient, key_id, pub, ikm, ratchet_message):
    plain = SID + u16(len(ratchet_message)) + ratchet_message
    bucket = next(b for b in BUCKETS if b >= len(plain) + 54)
    plain += bytes(bucket - 54 - len(plain))
    aad = b"\x01\x01" + u32(key_id)
    enc, c = hpke_seal(pub, ikm, b"SREMP/1/env\0" + recipient, aad, plain)
    return aad + enc + c


env1 = show("03-sessions", "envelope_1", envelope(B["id"], ENV_ID, x_public(env_x), b"\x1f" * 32, init + dr1))
show("03-sessions", "envelope_1_id", H(env1))
assert len(env1) == 2048
show("03-sessions", "envelope_2", envelope(B["id"], ENV_ID, x_public(env_x), b"\x22" * 32, init + dr2))
show("03-sessions", "envelope_3", envelope(A["id"], 7, x_public(b"\x20" * 32), b"\x21" * 32, dr3))
show("03-sessions", "envelope_4", envelope(B["id"], ENV_ID, x_public(env_x), b"\x23" * 32, dr4))
show("01-transport", "msg_envelope_1_start", (b"\x01" + smp1([1, 0x1234, [env1]]))[:24])

show("03-sessions", "content_reset", content(5, 0x25, 4, H(c4)[:16], [1, 17]))
env_a = signed(A, "env-key", 7, [x_public(b"\x20" * 32)], NOW, NOW + 46 * DAY)[1]
show("03-sessions", "content_contact_request", content(6, 0x26, 1, bytes(16), [
    A["identity"], [], "hello, it is alice",
    [7, x_public(b"\x20" * 32), NOW, NOW + 46 * DAY, env_a], [["alice.example", 33399]]]))
show("03-sessions", "content_contact_accept", content(7, 0x27, 1, bytes(16), [1, None, None, None, None]))

# ---- chapter 6 --------------------------------------------------------------------------------

R = dict(seed=b"\x09" * 32, noise=b"\x0a" * 32, name="relay")
R["id"] = ed_public(R["seed"])
H_RELAY = b"\x33" * 32  # the handshake hash of Alice's connection to the relay


def msg(msg_type, req_id, body):
    return b"\x01" + smp1([msg_type, req_id, body])


def facts(message_id, blob, ttl):
    return (A["id"] + B["id"] + u64(message_id) + H(blob) + u64(NOW) + u64(NOW + 1000 * ttl))


show("06-relay", "relay_identity_key", R["id"])
payload = R["id"] + H_RELAY + A["id"] + b"\x02"
show("06-relay", "auth_payload", payload)
caps = [61440, 14 * 86400]
show("06-relay", "register", msg(0x101, 1, [A["id"], sign(A["seed"], "relay-auth", payload), caps, 2, None]))
show("06-relay", "granted", msg(0x102, 1, [caps, 10_000, 64 << 20, NOW]))

blob, ttl, mid = bytes.fromhex(OUT["03-sessions"]["envelope_4"]), 14 * 86400, 0x0102030405060708
payload = R["id"] + B["id"] + u64(mid) + H(blob) + u32(ttl)
show("06-relay", "store_payload", payload)
store = msg(0x110, 2, [B["id"], blob, sign(A["seed"], "relay-store", payload), mid, ttl, None, None])
show("06-relay", "store", store)

leaf = H(b"\0" + facts(mid, blob, ttl))
show("06-relay", "receipt_leaf", leaf)
receipt = sign(R["seed"], "store-receipt", leaf) + b"\0"
show("06-relay", "receipt_alone", receipt)
show("06-relay", "stored", msg(0x111, 2, [True, NOW, mid, NOW + 1000 * ttl, receipt, None]))

l0, l1, l2 = (H(b"\0" + facts(mid + i, blob, ttl)) for i in range(3))
n01 = H(b"\1" + l0 + l1)
root = H(b"\1" + n01 + l2)
s = sign(R["seed"], "store-receipt", root)
show("06-relay", "tree_leaves", (l0 + l1 + l2))
show("06-relay", "tree_root", root)
show("06-relay", "tree_receipt_0", s + b"\2" + b"\1" + l1 + b"\1" + l2)
show("06-relay", "tree_receipt_1", s + b"\2" + b"\0" + l0 + b"\1" + l2)
show("06-relay", "tree_receipt_2", s + b"\1" + b"\0" + n01)

show("06-relay", "refused", msg(0x111, 3, [False, 0, mid, 0, b"", 0x0403]))
show("06-relay", "subscribe", msg(0x120, 2, [0, 32, 1 << 20]))
show("06-relay", "stored_message", msg(0x121, 2, [mid, A["id"], NOW, blob, 0x1234_5678]))
payload = u64(mid) + A["id"] + B["id"] + u64(NOW + 1500) + H(blob)
show("06-relay", "confirmation_payload", payload)
confirmation = [mid, A["id"], B["id"], NOW + 1500, H(blob), sign(B["seed"], "confirmation", payload)]
show("06-relay", "delivery_confirmation", msg(0x124, 3, [[confirmation]]))
show("06-relay", "confirmed", msg(0x125, 3, [[]]))
show("06-relay", "confirmation_push", msg(0x126, 7, [[confirmation]]))
show("06-relay", "discard", msg(0x127, 4, [[0x1234_5679]]))

# ---- chapter 5 --------------------------------------------------------------------------------

# the server has the keys of chapter 6's relay
exporter = show("05-rendezvous", "exporter", b"\x44" * 32)
record = smp1([A["id"], NOW, [["alice.example", 33400]], NOW, NOW + 3_600_000, 0, []])
show("05-rendezvous", "record", record)
record_sig = show("05-rendezvous", "record_sig", sign(A["seed"], "rdv-record", record))
payload = exporter + H(A["identity"]) + H(record)
show("05-rendezvous", "proof_payload", payload)
proof = show("05-rendezvous", "proof", sign(A["seed"], "rdv-proof", payload))


def frame(msg_type, req_id, body):
    message = smp1([msg_type, req_id, body])
    return u32(len(message)) + message


show("05-rendezvous", "register", frame(0x201, 1, [A["identity"], record, record_sig, proof]))
show("05-rendezvous", "registered", frame(0x202, 1, [True, NOW + 3_600_000, 1800, None, None]))
show("05-rendezvous", "refused", frame(0x202, 1, [False, 0, 0, None, 0x0302]))
show("05-rendezvous", "lookup", frame(0x203, 2, [A["id"], False, None]))
show("05-rendezvous", "found", frame(0x204, 2, [[[A["identity"], record, record_sig, None, None]], None, None]))
show("05-rendezvous", "not_found", frame(0x204, 2, [[], None, None]))
tombstone = smp1([A["id"], NOW + 1, [], NOW + 1, NOW + 3_600_001, 0, []])
show("05-rendezvous", "tombstone", tombstone)
show("05-rendezvous", "tombstone_sig", sign(A["seed"], "rdv-record", tombstone))
server_record = smp1([R["id"], "rdv.example", 443, b"\x55" * 32, NOW, NOW + 30 * DAY])
show("05-rendezvous", "server_record", server_record)
show("05-rendezvous", "server_record_sig", sign(R["seed"], "server-record", server_record))
link = b"\x01\x01" + R["id"] + u16(443) + b"\x0brdv.example" + b"\x55" * 32
link += H(b"SREMP/1/rdv-link" + link)[:4]
show("05-rendezvous", "link", "sremp-rdv:1#" + base64.urlsafe_b64encode(link).decode().rstrip("="))

# ---- chapter 8 --------------------------------------------------------------------------------

def card(who, flags, version, expires, token, tlvs):
    body = b"\x01" + bytes([flags]) + who["id"] + u64(version) + u64(expires) + token
    body += b"".join(bytes([t, len(v)]) + v for t, v in tlvs)
    return body + sign(who["seed"], "card", body)


cd = card(A, 0b111, 1, NOW + 7 * DAY, b"\x07" * 16,
          [(3, u16(33399) + b"alice.example"), (4, b"alice")])
show("08-contact-exchange", "card", cd)
show("08-contact-exchange", "card_uri", "sremp:1#" + base64.urlsafe_b64encode(cd).decode().rstrip("="))
show("08-contact-exchange", "card_qr", "SREMP:1/" + base64.b32encode(cd).decode().rstrip("="))
show("08-contact-exchange", "token_hash", H(b"SREMP/1/token" + b"\x07" * 16))


def fingerprint(k):
    x = hashlib.sha512(b"\0\x01" + k + k).digest()
    for _ in range(5199):
        x = hashlib.sha512(x + k).digest()
    return x


fa, fb = fingerprint(A["id"]), fingerprint(B["id"])
sides = sorted("".join(f"{int.from_bytes(x[i:i + 5], 'big') % 100_000:05}" for i in range(0, 30, 5)) for x in (fa, fb))
digits = "".join(sides)
show("08-contact-exchange", "safety_number", " ".join(digits[i:i + 5] for i in range(0, 60, 5)))
qr = b"\x01" + fa[:32] + fb[:32]
show("08-contact-exchange", "safety_number_qr_shown_by_alice", "SREMP:SAFETY1/" + base64.b32encode(qr).decode().rstrip("="))

if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("examples.json")
    text = json.dumps(OUT, indent=1) + "\n"
    if "--check" in sys.argv:
        sys.exit(0 if path.read_text() == text else "examples.json differs from what is computed")
    path.write_text(text)
