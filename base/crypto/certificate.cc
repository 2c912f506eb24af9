#include "base/crypto/certificate.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/core/encoding.h"
#include "base/crypto/openssl_types.h"

namespace tidegate {
namespace {

using namespace openssl;

constexpr int kRsaBitsMin = 2048;
constexpr int kEcBitsMin = 256;
constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr std::string_view kMintFix = "; make a set with: tidegate certs mint --dir DIR";

std::unexpected<Error> refuse(std::string_view option, std::string_view file, std::string_view why) {
  ERR_clear_error();  // a later look at this thread's queue must not find what was said here
  return fail(Code::kInvalidArgument, "bad_certificate", fmt::format("{}: '{}' {}", option, file, why), std::string(option));
}

Result<std::string> read_pem_file(const std::string& file, std::string_view option) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return refuse(option, file, "cannot be read; check the path and who may read it");
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.empty() || text.size() > kFileBytesMax) return refuse(option, file, "must hold 1 byte to 1 MiB of PEM");
  return text;
}

Wall wall_of(const ASN1_TIME* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return Wall{};
  return wall_from_unix_micros(static_cast<std::int64_t>(::timegm(&fields)) * 1'000'000);
}

std::vector<std::string> uris_of(const X509* certificate) {
  std::vector<std::string> uris;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  if (names == nullptr) return uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  GENERAL_NAMES_free(names);
  return uris;
}

std::string subject_of(const X509* certificate) {
  const Bio out(BIO_new(BIO_s_mem()), BIO_free);
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

CertificateFacts facts_of(const X509* certificate) {
  CertificateFacts facts;
  facts.subject = subject_of(certificate);
  facts.uris = uris_of(certificate);
  facts.not_before = wall_of(X509_get0_notBefore(certificate));
  facts.not_after = wall_of(X509_get0_notAfter(certificate));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1) {
    facts.fingerprint = hex_encode({reinterpret_cast<const char*>(digest.data()), size});
  }
  return facts;
}

/// Empty when it is in force.
std::string validity_problem(const CertificateFacts& facts, Wall now) {
  if (now < facts.not_before) {
    return fmt::format("is not valid before {}; check this machine's clock", format_rfc3339(facts.not_before));
  }
  if (now >= facts.not_after) {
    return fmt::format("expired at {}; renew it and replace the file", format_rfc3339(facts.not_after));
  }
  return {};
}

/// Empty when it is strong enough.
std::string strength_problem(const EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      if (bits >= kRsaBitsMin) return {};
      return fmt::format("is an RSA key of {} bits; use at least {}, or EC P-256", bits, kRsaBitsMin);
    case EVP_PKEY_EC:
      if (bits >= kEcBitsMin) return {};
      return fmt::format("is an EC key of {} bits; use P-256 or larger", bits);
    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448: return {};
    default: return "is a key of a kind that is not served; use EC P-256 or RSA 2048";
  }
}

}  // namespace

Result<CertificatePair> load_certificate_pair(const std::string& cert_file, const std::string& key_file,
                                              std::string_view options, Wall now) {
  const std::string cert_option = std::string(options) + "cert_file";
  const std::string key_option = std::string(options) + "key_file";
  if (cert_file.empty() || key_file.empty()) {
    const auto& missing = cert_file.empty() ? cert_option : key_option;
    return fail(Code::kInvalidArgument, "bad_certificate",
                fmt::format("{} and {} are given together or not at all", cert_option, key_option), missing);
  }
  CertificatePair pair;
  TG_ASSIGN(pair.chain_pem, read_pem_file(cert_file, cert_option));
  TG_ASSIGN(pair.key_pem, read_pem_file(key_file, key_option));
  const Bio cert_text = reader(pair.chain_pem);
  const Certificate certificate(PEM_read_bio_X509(cert_text.get(), nullptr, no_passphrase, nullptr), X509_free);
  if (!certificate) return refuse(cert_option, cert_file, fmt::format("holds no certificate in PEM{}", kMintFix));
  const Bio key_text = reader(pair.key_pem);
  const Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (!key) return refuse(key_option, key_file, fmt::format("holds no private key in PEM without a passphrase{}", kMintFix));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return refuse(key_option, key_file, fmt::format("is not the key of the certificate in '{}'; give the pair", cert_file));
  }
  if (const std::string problem = strength_problem(key.get()); !problem.empty()) return refuse(key_option, key_file, problem);
  pair.facts = facts_of(certificate.get());
  if (const std::string problem = validity_problem(pair.facts, now); !problem.empty()) {
    return refuse(cert_option, cert_file, problem);
  }
  ERR_clear_error();
  return pair;
}

Result<std::string> load_authorities(const std::string& file, std::string_view option, Wall now) {
  TG_ASSIGN(std::string pem, read_pem_file(file, option));
  const Bio text = reader(pem);
  int found = 0;
  while (true) {
    const Certificate certificate(PEM_read_bio_X509(text.get(), nullptr, no_passphrase, nullptr), X509_free);
    if (!certificate) break;
    ++found;
    const std::string problem = validity_problem(facts_of(certificate.get()), now);
    if (!problem.empty()) return refuse(option, file, problem);
  }
  ERR_clear_error();
  if (found == 0) return refuse(option, file, fmt::format("holds no certificate in PEM{}", kMintFix));
  return pem;
}

Result<CertificateFacts> read_certificate(std::string_view pem, std::string_view name) {
  const Bio text = reader(pem);
  const Certificate certificate(PEM_read_bio_X509(text.get(), nullptr, no_passphrase, nullptr), X509_free);
  if (!certificate) return refuse(name, name, "holds no certificate in PEM");
  return facts_of(certificate.get());
}

}  // namespace tidegate
