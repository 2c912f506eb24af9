#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/drivers/kubernetes/api/kube_access.h"
#include "tests/support/net/certificates.h"
#include "tests/support/temp_dir.h"

namespace tidegate::test {

/// A kube-apiserver with an etcd of its own, started for this test program and ended with it. TIDEGATE_KUBE_APISERVER
/// names the program; etcd is TIDEGATE_KUBE_ETCD, or beside it. Version 1.27 or later.
class RealApiServer {
 public:
  /// Whether the environment names one.
  static bool is_given();
  /// The one of this program; started by the first call. Throws std::runtime_error.
  static RealApiServer& instance();
  ~RealApiServer();

  /// A namespace that nobody has used yet; the kinds that the driver needs are there.
  std::string fresh_namespace();
  const scheduler::kube::AccessOptions& access() const { return access_; }
  /// Asks whether it would make this object, fields that it does not know included; nothing is made. Throws
  /// std::runtime_error with its words when it would not.
  void dry_run(const std::string& collection_path, const std::string& body);

 private:
  RealApiServer();
  void start_etcd(const std::string& program);
  void start_server(const std::string& program);
  std::int64_t spawn(const std::vector<std::string>& command, const std::string& log);
  void wait_until_ready();
  void post(const std::string& path, const std::string& body);

  TempDir folder_;
  Certificates certificates_;
  scheduler::kube::AccessOptions access_;
  std::uint16_t etcd_port_ = 0;
  std::vector<std::int64_t> pids_;
  int namespaces_ = 0;
};

}  // namespace tidegate::test
