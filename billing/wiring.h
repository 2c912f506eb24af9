#pragma once

#include <memory>
#include <string>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/core/random.h"
#include "base/core/result.h"
#include "billing/config.h"

namespace tidegate::billing {

/// What the process brings; outlives the service.
struct Surroundings {
  const Clock& clock;
  EntropySource& entropy;
  Log& log;
  MetricRegistry& registry;
};

/// The whole service: migrated database, gRPC services, change feed, background jobs. Tests start several on one
/// database, as replicas.
class Billing {
 public:
  /// Migrates first. Fails as check_secrets, pg::migrate and RpcServer::start do.
  static Result<std::unique_ptr<Billing>> start(const Config& config, const Surroundings& surroundings);
  /// As stop().
  ~Billing();
  Billing(const Billing&) = delete;
  Billing& operator=(const Billing&) = delete;

  /// Where gRPC listens, with the bound port.
  const std::string& address() const;
  /// Whether PostgreSQL answers. Blocks up to a second.
  Status probe() const;
  /// Ends streams, lets calls finish for the drain time, stops jobs and connections. Idempotent.
  void stop();

 private:
  struct Parts;
  explicit Billing(std::unique_ptr<Parts> parts);
  Status start_receipts();
  std::unique_ptr<Parts> parts_;
};

}  // namespace tidegate::billing
