#include "base/crypto/certificate_authority.h"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <utility>

#include "base/crypto/openssl_types.h"

namespace tidegate {
namespace {

using namespace openssl;

constexpr std::size_t kCommonNameBytesMax = 64;
constexpr std::size_t kNamesMax = 32;
constexpr std::size_t kNameBytesMax = 253;
/// Clocks of one installation differ; a certificate minted here must not be "not yet valid" there.
constexpr std::chrono::minutes kBackdated{5};

using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;

X509* x509(const std::shared_ptr<void>& certificate) { return static_cast<X509*>(certificate.get()); }

std::unexpected<Error> refuse(std::string message) {
  ERR_clear_error();
  return fail(Code::kInvalidArgument, "bad_certificate", std::move(message));
}

/// From OpenSSL's own generator: an EntropySource cannot drive the making of an EC key.
Key mint_key() { return {EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free}; }

bool set_serial(X509* certificate, EntropySource& entropy) {
  std::array<unsigned char, 16> bytes{};
  entropy.fill(bytes.data(), bytes.size());
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x01);  // positive, and never zero
  const Number number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr), BN_free);
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_life(X509* certificate, Wall now, std::chrono::seconds life) {
  const auto at = [](Wall wall) { return static_cast<std::time_t>(unix_micros(wall) / 1'000'000); };
  return ASN1_TIME_set(X509_getm_notBefore(certificate), at(now - kBackdated)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), at(now + life)) != nullptr;
}

bool set_subject(X509* certificate, std::string_view common_name) {
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

/// Letters that cannot end one name and begin another in OpenSSL's own notation.
bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '.' && c != '-' && c != '_' && c != ':' && c != '/' && c != '*') return false;
  }
  return true;
}

Result<std::string> alternative_names(const CertificateOrder& order) {
  std::string all;
  std::size_t count = 0;
  for (const auto& [kind, names] : {std::pair("URI:", &order.uris), std::pair("DNS:", &order.dns_names),
                                    std::pair("IP:", &order.addresses)}) {
    for (const std::string& name : *names) {
      if (!is_plain_name(name)) return refuse(fmt::format("'{}' is not a name for a certificate", name));
      if (!all.empty()) all += ',';
      all += kind + name;
      ++count;
    }
  }
  if (count == 0 || count > kNamesMax) return refuse(fmt::format("a certificate has 1 to {} names", kNamesMax));
  return all;
}

Result<MintedCertificate> write(X509* certificate, EVP_PKEY* key) {
  const Bio cert_out(BIO_new(BIO_s_mem()), BIO_free);
  const Bio key_out(BIO_new(BIO_s_mem()), BIO_free);
  if (PEM_write_bio_X509(cert_out.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(key_out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return refuse("the certificate cannot be written");
  }
  return MintedCertificate{content(cert_out.get()), content(key_out.get())};
}

}  // namespace

Result<CertificateAuthority> CertificateAuthority::mint(std::string_view common_name, std::chrono::seconds life,
                                                        EntropySource& entropy, Wall now) {
  if (common_name.empty() || common_name.size() > kCommonNameBytesMax) {
    return refuse(fmt::format("an authority's name has 1 to {} characters", kCommonNameBytesMax));
  }
  const Key key = mint_key();
  const Certificate certificate(X509_new(), X509_free);
  X509* x = certificate.get();
  if (!key || x == nullptr || X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x, entropy) ||
      !set_life(x, now, life) || !set_subject(x, common_name) ||
      X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 || X509_set_pubkey(x, key.get()) != 1 ||
      !add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(x, x, NID_subject_key_identifier, "hash") || X509_sign(x, key.get(), EVP_sha256()) == 0) {
    return refuse("the authority's certificate cannot be made");
  }
  TG_ASSIGN(const MintedCertificate pem, write(x, key.get()));
  return from_pem(pem);
}

Result<CertificateAuthority> CertificateAuthority::from_pem(const MintedCertificate& pem) {
  const Bio cert_text = reader(pem.certificate_pem);
  Certificate certificate(PEM_read_bio_X509(cert_text.get(), nullptr, no_passphrase, nullptr), X509_free);
  const Bio key_text = reader(pem.key_pem);
  Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (!certificate || !key || X509_check_private_key(certificate.get(), key.get()) != 1) {
    return refuse("the authority's certificate and key are not a pair in PEM");
  }
  std::shared_ptr<void> owned_certificate(certificate.release(), [](void* x) { X509_free(static_cast<X509*>(x)); });
  std::shared_ptr<void> owned_key(key.release(), [](void* k) { EVP_PKEY_free(static_cast<EVP_PKEY*>(k)); });
  return CertificateAuthority(std::move(owned_certificate), std::move(owned_key), pem);
}

Result<MintedCertificate> CertificateAuthority::issue(const CertificateOrder& order, std::string_view key_pem,
                                                      EntropySource& entropy, Wall now) const {
  if (order.common_name.empty() || order.common_name.size() > kCommonNameBytesMax || order.life.count() <= 0) {
    return refuse(fmt::format("a certificate has a name of 1 to {} characters and a life", kCommonNameBytesMax));
  }
  TG_ASSIGN(const std::string names, alternative_names(order));
  Key key(nullptr, EVP_PKEY_free);
  if (key_pem.empty()) {
    key = mint_key();
  } else {
    const Bio text = reader(key_pem);
    key.reset(PEM_read_bio_PrivateKey(text.get(), nullptr, no_passphrase, nullptr));
    if (!key) return refuse("the key to renew with is not one in PEM");
  }
  const Certificate certificate(X509_new(), X509_free);
  X509* x = certificate.get();
  X509* issuer = x509(certificate_);
  if (!key || x == nullptr || X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x, entropy) ||
      !set_life(x, now, order.life) || !set_subject(x, order.common_name) ||
      X509_set_issuer_name(x, X509_get_subject_name(issuer)) != 1 || X509_set_pubkey(x, key.get()) != 1 ||
      !add_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(x, issuer, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(x, issuer, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(x, issuer, NID_subject_key_identifier, "hash") ||
      !add_extension(x, issuer, NID_authority_key_identifier, "keyid:always") ||
      !add_extension(x, issuer, NID_subject_alt_name, names) || X509_sign(x, pkey(key_), EVP_sha256()) == 0) {
    return refuse("the certificate of '" + order.common_name + "' cannot be made; are its names valid?");
  }
  return write(x, key.get());
}

}  // namespace tidegate
