#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/fleet_types.h"

namespace tidegate::scheduler {

struct CatalogueVariant {
  std::string name;
  std::string precision;
  std::string path;  ///< of the weights, relative to the models folder; empty when not held here
  std::int64_t parameters = 0;
  std::int64_t weight_bytes = 0;
  std::int64_t kv_bytes_per_token = 0;
  std::string weights_digest;  ///< "sha256:<hex>"; empty: whatever the worker reports
  std::string engine;          ///< "tidegate" | "sim" | "external"
};

struct CatalogueModel {
  std::string name;
  std::string architecture;
  std::int32_t context_max = 0;
  std::string licence;
  std::vector<CatalogueVariant> variants;
};

/// What may be deployed. Immutable after start.
class Catalogue {
 public:
  /// Fails: already_exists/duplicate_model.
  Status add(CatalogueModel model);
  const std::map<std::string, CatalogueModel>& models() const { return models_; }
  /// Null when there is none.
  const CatalogueVariant* find(const std::string& model, const std::string& variant) const;

 private:
  std::map<std::string, CatalogueModel> models_;
};

inline constexpr std::int32_t kReplicasMax = 64;
inline constexpr std::int32_t kThreadsMax = 1024;
inline constexpr std::int32_t kSequencesMax = 4096;

/// Fails: invalid_argument with the field (bad_name, bad_replicas, unknown_option, ...), not_found/unknown_model,
/// failed_precondition/weights_not_held.
Status check_deployment(const Deployment& deployment, const Catalogue& catalogue);

/// The replicas a deployment wants, ordinal 0 first. The deployment has passed check_deployment.
std::vector<ReplicaSpec> replica_specs(const Deployment& deployment, const Catalogue& catalogue,
                                       const std::string& models_folder);

}  // namespace tidegate::scheduler
