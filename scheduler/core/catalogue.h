#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/fit.h"
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
  /// How the weights are stored, where the model has a shape: the three numbers above are then computed, never typed in.
  std::optional<Precision> weights;
  KvPrecision kv = KvPrecision::kBf16;  ///< as its engine caches
  std::vector<Layout> layouts;          ///< the only ones offered; empty = all that check_layout allows
};

/// What a model can do, as its maker says.
struct Capabilities {
  bool reasoning = false;
  bool tools = false;
  bool fim = false;  ///< fill in the middle
  bool embeddings = false;
  bool vision = false;

  bool operator==(const Capabilities&) const = default;
};

/// As in a catalogue entry, those that it has.
std::vector<std::string_view> capability_names(const Capabilities& all);

struct CatalogueModel {
  std::string name;
  std::string architecture;
  std::int32_t context_max = 0;
  std::string licence;
  std::vector<CatalogueVariant> variants;
  std::optional<ModelShape> shape;  ///< empty: the architecture is not known well enough to compute with
  Capabilities capabilities;
  std::int64_t parameters_published = 0;  ///< the maker's figure, where there is no shape; 0 = none
  std::int64_t active_published = 0;
  std::vector<std::string> unknown;  ///< what is not known of it, a phrase each
  std::string sources;
};

/// Those that the variant is offered in; else the usual ones that the shape allows.
std::vector<Layout> layouts_allowed(const ModelShape& shape, const CatalogueVariant& variant);

/// What may be deployed. Immutable after start.
class Catalogue {
 public:
  /// Fails: already_exists/duplicate_model.
  Status add(CatalogueModel model);
  const std::map<std::string, CatalogueModel>& models() const { return models_; }
  /// Null when there is none.
  const CatalogueVariant* find(const std::string& model, const std::string& variant) const;
  /// By name, case ignored. Fails: not_found/unknown_model with the names that begin alike, or all.
  Result<const CatalogueModel*> find_model(std::string_view name) const;

 private:
  std::map<std::string, CatalogueModel> models_;
};

inline constexpr std::int32_t kReplicasMax = 64;
inline constexpr std::int32_t kThreadsMax = 1024;
inline constexpr std::int32_t kSequencesMax = 4096;

/// Fails: invalid_argument with the field (bad_name, bad_replicas, unknown_option, ...), not_found/unknown_model,
/// failed_precondition/weights_not_held.
Status check_deployment(const Deployment& deployment, const Catalogue& catalogue);

/// The variant of a name or of a precision; the first one for "". Fails: not_found/unknown_variant, listing them.
Result<const CatalogueVariant*> find_variant(const CatalogueModel& model, std::string_view name_or_precision);

/// Whether and how a variant fits; refuses layouts that it does not offer.
/// Fails: as fit() does; failed_precondition/unknown_shape for a model without one, saying what is not known;
/// invalid_argument/layout_not_offered.
Result<Fit> fit_variant(const CatalogueModel& model, const CatalogueVariant& variant, const Layout& layout,
                        const AcceleratorKind& accelerator, const FitOptions& options);

/// What a replica of our own CPU engine will report as its KV capacity, from the deployment's sequences_max and kv.mib;
/// 0 = no prediction: another engine, or no shape.
std::int64_t predicted_kv_tokens(const Deployment& deployment, const Catalogue& catalogue);

/// The replicas a deployment wants, ordinal 0 first. The deployment has passed check_deployment.
std::vector<ReplicaSpec> replica_specs(const Deployment& deployment, const Catalogue& catalogue,
                                       const std::string& models_folder);

}  // namespace tidegate::scheduler
