#pragma once

#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>

#include "base/core/clock.h"
#include "base/core/rpc_tls_options.h"
#include "base/crypto/certificate_authority.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/temp_dir.h"

namespace tidegate::test {

/// An authority and what it signs, as files in a folder of their own: ca.crt, NAME.crt, NAME.key. Valid now, by the
/// machine's clock, as OpenSSL looks at no other.
class Certificates {
 public:
  explicit Certificates(std::uint64_t seed = 1) : entropy_(seed), authority_(make_authority(entropy_)) {
    write("ca.crt", authority_.pem().certificate_pem);
  }

  /// For the port of a test: 127.0.0.1 and localhost, and `role` if it has one. Negative life: expired long ago.
  void issue(const std::string& name, const std::string& role = {}, std::chrono::seconds life = std::chrono::hours(1)) {
    CertificateOrder order;
    order.common_name = name;
    if (!role.empty()) order.uris = {"tidegate://" + role};
    order.dns_names = {"localhost"};
    order.addresses = {"127.0.0.1"};
    Wall now = SystemClock().wall();
    if (life.count() < 0) {
      now -= std::chrono::hours(48);
      life = std::chrono::hours(1);
    }
    order.life = life;
    const auto minted = authority_.issue(order, "", entropy_, now);
    if (!minted) throw std::runtime_error(minted.error().to_string());
    write(name + ".crt", minted->certificate_pem);
    write(name + ".key", minted->key_pem);
  }

  std::string ca_file() const { return folder_.file("ca.crt"); }
  const std::string& ca_pem() const { return authority_.pem().certificate_pem; }
  std::string cert_file(const std::string& name) const { return folder_.file(name + ".crt"); }
  std::string key_file(const std::string& name) const { return folder_.file(name + ".key"); }
  RpcTlsOptions rpc(const std::string& name) const { return {ca_file(), cert_file(name), key_file(name)}; }
  std::string file(const std::string& name) const { return folder_.file(name); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.file(name), std::ios::binary) << text;
    ::chmod(folder_.file(name).c_str(), 0600);
  }

 private:
  static CertificateAuthority make_authority(EntropySource& entropy) {
    auto made = CertificateAuthority::mint("test authority", std::chrono::hours(240), entropy, SystemClock().wall());
    if (!made) throw std::runtime_error(made.error().to_string());
    return *std::move(made);
  }

  TempDir folder_;
  SeededEntropy entropy_;
  CertificateAuthority authority_;
};

}  // namespace tidegate::test
