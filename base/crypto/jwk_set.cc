#include "base/crypto/jwk_set.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <optional>

#include "base/core/encoding.h"
#include "base/crypto/openssl_types.h"
#include "base/json/json.h"

namespace tidegate {
namespace {

constexpr int kRsaBitsLeast = 2048;
constexpr int kRsaBitsMost = 8192;   // a verification costs with the square
constexpr int kExponentBitsMost = 64;
constexpr std::size_t kCoordinateBytes = 32;  // of P-256, and of each number of its signature
constexpr std::size_t kEd25519Bytes = 32;
constexpr std::size_t kIdBytesMax = 256;

struct OpenSslFree {
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
  void operator()(OSSL_PARAM* params) const { OSSL_PARAM_free(params); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};
template <typename T>
using Owned = std::unique_ptr<T, OpenSslFree>;

using openssl::bytes;
using openssl::own;
using openssl::pkey;

Owned<BIGNUM> number_of(std::string_view raw) {
  return Owned<BIGNUM>(BN_bin2bn(bytes(raw), static_cast<int>(raw.size()), nullptr));
}

std::unexpected<Error> unfit(std::string why) { return fail(Code::kInvalidArgument, "bad_jwk", std::move(why)); }
std::unexpected<Error> bad_set(std::string why) { return fail(Code::kInvalidArgument, "bad_jwks", std::move(why)); }

/// A member that holds base64url.
Result<std::string> raw_member(const json::object& jwk, std::string_view name) {
  TG_ASSIGN(const std::string text, json::get_string(jwk, name));
  auto raw = base64url_decode(text);
  if (!raw || raw->empty()) return unfit(fmt::format("'{}' must be base64url without padding", name));
  return *std::move(raw);
}

Result<std::shared_ptr<void>> build_key(const char* type, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return unfit(fmt::format("its numbers are no {} key", type));
  }
  std::shared_ptr<void> owned = own(key);
  const Owned<EVP_PKEY_CTX> check(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (check == nullptr || EVP_PKEY_public_check(check.get()) != 1) {
    return unfit(fmt::format("its numbers are no sound {} key", type));
  }
  return owned;
}

Result<std::shared_ptr<void>> read_rsa(const json::object& jwk) {
  TG_ASSIGN(const std::string modulus, raw_member(jwk, "n"));
  TG_ASSIGN(const std::string exponent, raw_member(jwk, "e"));
  const Owned<BIGNUM> n = number_of(modulus), e = number_of(exponent);
  if (n == nullptr || e == nullptr) return unfit("its numbers cannot be read");
  const int bits = BN_num_bits(n.get());
  if (bits < kRsaBitsLeast || bits > kRsaBitsMost) {
    return unfit(fmt::format("an RSA key has {} to {} bits, not {}", kRsaBitsLeast, kRsaBitsMost, bits));
  }
  const int exponent_bits = BN_num_bits(e.get());
  if (BN_is_odd(e.get()) == 0 || exponent_bits < 2 || exponent_bits > kExponentBitsMost) {
    return unfit("the exponent of an RSA key is odd, at least 3 and has at most 64 bits");
  }
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return unfit("its numbers cannot be read");
  }
  return build_key("RSA", builder.get());
}

Result<std::shared_ptr<void>> read_p256(const json::object& jwk) {
  TG_ASSIGN(const std::string curve, json::get_string(jwk, "crv"));
  if (curve != "P-256") return unfit(fmt::format("the curve {} is not supported; P-256 is", curve));
  TG_ASSIGN(const std::string x, raw_member(jwk, "x"));
  TG_ASSIGN(const std::string y, raw_member(jwk, "y"));
  if (x.size() != kCoordinateBytes || y.size() != kCoordinateBytes) return unfit("a coordinate of P-256 has 32 bytes");
  const std::string point = '\x04' + x + y;  // uncompressed
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return unfit("its numbers cannot be read");
  }
  return build_key("EC", builder.get());
}

Result<std::shared_ptr<void>> read_ed25519(const json::object& jwk) {
  TG_ASSIGN(const std::string curve, json::get_string(jwk, "crv"));
  if (curve != "Ed25519") return unfit(fmt::format("the curve {} is not supported; Ed25519 is", curve));
  TG_ASSIGN(const std::string x, raw_member(jwk, "x"));
  EVP_PKEY* key = x.size() == kEd25519Bytes
                      ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(x), x.size())
                      : nullptr;
  if (key == nullptr) return unfit("an Ed25519 key has 32 bytes");
  return own(key);
}

/// What a key of this type signs with. `alg` must be one that the type can: anything else is left out.
Result<JwtAlgorithm> algorithm_of(std::string_view type, const std::optional<std::string>& named) {
  const std::string alg = named.value_or(type == "RSA" ? "RS256" : type == "EC" ? "ES256" : "EdDSA");
  if (type == "RSA" && alg == "RS256") return JwtAlgorithm::kRs256;
  if (type == "RSA" && alg == "PS256") return JwtAlgorithm::kPs256;
  if (type == "EC" && alg == "ES256") return JwtAlgorithm::kEs256;
  if (type == "OKP" && (alg == "EdDSA" || alg == "Ed25519")) return JwtAlgorithm::kEdDsa;
  return unfit(fmt::format("{} with {} is not supported; RS256, PS256, ES256 and EdDSA are", alg, type));
}

/// `use` and `key_ops` say what a key is for; without them it may be for anything.
Status check_use(const json::object& jwk) {
  TG_ASSIGN(const auto use, json::find_string(jwk, "use"));
  if (use && *use != "sig") return unfit(fmt::format("it is for '{}', not for signatures", *use));
  const json::value* ops = jwk.if_contains("key_ops");
  if (ops == nullptr) return {};
  if (!ops->is_array()) return unfit("'key_ops' must be an array");
  for (const json::value& one : ops->get_array()) {
    if (one.is_string() && std::string_view(one.get_string()) == "verify") return {};
  }
  return unfit("its 'key_ops' do not include verify");
}

Result<JwkKey> read_key(const json::object& jwk, std::string id) {
  TG_ASSIGN(const std::string type, json::get_string(jwk, "kty"));
  if (type != "RSA" && type != "EC" && type != "OKP") {
    return unfit(fmt::format("keys of type {} are not supported; RSA, EC and OKP are", type));
  }
  if (jwk.contains("d")) return unfit("it is a private key: publish the public one, and replace this one");
  TG_TRY(check_use(jwk));
  TG_ASSIGN(const auto named, json::find_string(jwk, "alg"));
  TG_ASSIGN(const JwtAlgorithm algorithm, algorithm_of(type, named));
  auto key = type == "RSA" ? read_rsa(jwk) : type == "EC" ? read_p256(jwk) : read_ed25519(jwk);
  ERR_clear_error();
  if (!key) return fail(std::move(key).error());
  return JwkKey(std::move(id), algorithm, *std::move(key));
}

/// The two numbers of a JWS (RFC 7518, section 3.4) as OpenSSL wants them.
std::optional<std::string> der_of(std::string_view signature) {
  if (signature.size() != 2 * kCoordinateBytes) return std::nullopt;
  Owned<BIGNUM> r = number_of(signature.substr(0, kCoordinateBytes));
  Owned<BIGNUM> s = number_of(signature.substr(kCoordinateBytes));
  const Owned<ECDSA_SIG> pair(ECDSA_SIG_new());
  if (r == nullptr || s == nullptr || pair == nullptr) return std::nullopt;
  if (ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return std::nullopt;
  // The pair owns them now.
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  const int size = i2d_ECDSA_SIG(pair.get(), nullptr);
  if (size <= 0) return std::nullopt;
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* end = reinterpret_cast<unsigned char*>(der.data());
  if (i2d_ECDSA_SIG(pair.get(), &end) != size) return std::nullopt;
  return der;
}

}  // namespace

std::string_view jwt_algorithm_name(JwtAlgorithm algorithm) {
  switch (algorithm) {
    case JwtAlgorithm::kRs256:
      return "RS256";
    case JwtAlgorithm::kPs256:
      return "PS256";
    case JwtAlgorithm::kEs256:
      return "ES256";
    case JwtAlgorithm::kEdDsa:
      return "EdDSA";
  }
  return "";
}

bool JwkKey::verify(std::string_view text, std::string_view signature) const {
  std::string der;
  if (algorithm_ == JwtAlgorithm::kEs256) {
    auto made = der_of(signature);
    if (!made) return false;
    der = *std::move(made);
    signature = der;
  }
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;  // the context's own
  const EVP_MD* digest = algorithm_ == JwtAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  bool is_ready =
      context != nullptr && EVP_DigestVerifyInit(context.get(), &options, digest, nullptr, pkey(key_)) == 1;
  if (is_ready && algorithm_ == JwtAlgorithm::kPs256) {
    // RFC 7518, section 3.5: the salt is as long as the digest; MGF1 uses the digest too, OpenSSL's default.
    is_ready = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  const bool is_good = is_ready && EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text),
                                                    text.size()) == 1;
  ERR_clear_error();
  return is_good;
}

Result<JwkSet> JwkSet::parse(std::string_view text) {
  if (text.size() > kBytesMax) return bad_set(fmt::format("a set of keys has at most {} bytes", kBytesMax));
  const auto document = json::parse(text);
  if (!document) return bad_set(document.error().message);
  if (!document->is_object()) return bad_set("a set of keys is an object with the member 'keys'");
  const auto keys = json::get_array(document->get_object(), "keys");
  if (!keys) return bad_set(keys.error().message);
  if ((*keys)->size() > kKeysMax) return bad_set(fmt::format("a set has at most {} keys", kKeysMax));

  JwkSet set;
  for (std::size_t i = 0; i < (*keys)->size(); ++i) {
    const json::value& one = (**keys)[i];
    std::string name = fmt::format("keys[{}]", i);
    if (!one.is_object()) {
      set.complaints_.push_back(name + ": not an object");
      continue;
    }
    const json::object& jwk = one.get_object();
    auto id = json::find_string(jwk, "kid");
    if (!id || (*id && (*id)->size() > kIdBytesMax)) {
      set.complaints_.push_back(fmt::format("{}: 'kid' must be a string of at most {} bytes", name, kIdBytesMax));
      continue;
    }
    std::string kid = id->value_or(std::string());
    if (!kid.empty()) name += fmt::format(" ({})", kid);
    const bool is_known = std::ranges::find(set.keys_, kid, &JwkKey::id) != set.keys_.end();
    auto key = read_key(jwk, std::move(kid));
    if (!key) {
      set.complaints_.push_back(fmt::format("{}: {}", name, key.error().message));
    } else if (is_known) {
      set.complaints_.push_back(name + ": another key before it has the same 'kid'");
    } else {
      set.keys_.push_back(*std::move(key));
    }
  }
  if (!set.keys_.empty()) return set;
  std::string why = "it holds no key that signs with RS256, PS256, ES256 or EdDSA";
  if (!set.complaints_.empty()) why += "; " + set.complaints_.front();
  return bad_set(std::move(why));
}

const JwkKey* JwkSet::find(std::string_view id) const {
  if (id.empty()) return keys_.size() == 1 ? &keys_.front() : nullptr;
  const auto found = std::ranges::find(keys_, id, &JwkKey::id);
  return found == keys_.end() ? nullptr : &*found;
}

}  // namespace tidegate
