#include "scheduler/place_files/place_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json/json.h"

namespace tidegate::scheduler::placement {

namespace {

constexpr std::int64_t kDomainNodesDefault = 8;
constexpr std::int64_t kDomainNodesMax = 4096;
constexpr std::size_t kRegionsMax = 256;
constexpr std::int64_t kPermilleMax = 100'000;
constexpr std::int64_t kInt32Max = std::numeric_limits<std::int32_t>::max();

std::unexpected<Error> bad(std::string_view file, std::string message, std::string field) {
  return fail(Code::kInvalidArgument, fmt::format("bad_{}", file), fmt::format("{}: {}", file, message), std::move(field));
}

Status only_known(const json::object& from, std::initializer_list<std::string_view> known, std::string_view file, std::string_view path) {
  for (const auto& member : from) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string field = json::join_path(path, key);
    return bad(file, fmt::format("'{}' is not known here; known are {}", field, fmt::join(known, ", ")), field);
  }
  return {};
}

Result<std::int64_t> number(const json::object& from, std::string_view key, std::optional<std::int64_t> fallback, std::int64_t least, std::int64_t most,
                            std::string_view file, const std::string& path) {
  TG_ASSIGN(const auto found, json::find_int(from, key, path));
  const std::string field = json::join_path(path, key);
  if (!found && !fallback) return bad(file, fmt::format("'{}' is missing", field), field);
  const std::int64_t value = found.value_or(fallback.value_or(0));
  if (value < least || value > most) return bad(file, fmt::format("'{}' must be {} to {}, not {}", field, least, most, value), field);
  return value;
}

Result<std::int32_t> small_number(const json::object& from, std::string_view key, std::optional<std::int64_t> fallback, std::int64_t least,
                                  std::string_view file, const std::string& path) {
  TG_ASSIGN(const std::int64_t value, number(from, key, fallback, least, kInt32Max, file, path));
  return static_cast<std::int32_t>(value);
}

Result<const json::object*> root_of(const json::value& document, std::string_view file) {
  if (!document.is_object()) return bad(file, "the file must hold one JSON object", "");
  return &document.get_object();
}

/// The objects of an array that may be left out.
Result<std::vector<std::pair<std::string, const json::object*>>> objects(const json::object& from, std::string_view key, std::string_view file,
                                                                         const std::string& path) {
  std::vector<std::pair<std::string, const json::object*>> out;
  if (!from.contains(boost::json::string_view(key.data(), key.size()))) return out;
  TG_ASSIGN(const json::array* entries, json::get_array(from, key, path));
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const std::string at = fmt::format("{}[{}]", json::join_path(path, key), i);
    if (!(*entries)[i].is_object()) return bad(file, fmt::format("'{}' must be an object", at), at);
    out.emplace_back(at, &(*entries)[i].get_object());
  }
  return out;
}

Result<std::vector<std::string>> strings(const json::object& from, std::string_view key, std::string_view file, const std::string& path) {
  std::vector<std::string> out;
  if (!from.contains(boost::json::string_view(key.data(), key.size()))) return out;
  TG_ASSIGN(const json::array* entries, json::get_array(from, key, path));
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const std::string at = fmt::format("{}[{}]", json::join_path(path, key), i);
    if (!(*entries)[i].is_string()) return bad(file, fmt::format("'{}' must be a string", at), at);
    out.emplace_back((*entries)[i].get_string().c_str());
  }
  return out;
}

struct Accelerator {
  Micros price = 0;
  std::int64_t load_bytes_per_s = 0;
};
struct Region {
  std::string name;
  std::int64_t price_permille = 1000;
};
struct Catalogue {
  std::map<std::string, Accelerator> accelerators;
  std::vector<Region> regions;
  std::int64_t domain_nodes = kDomainNodesDefault;
  std::set<std::string> variants;
  std::vector<Layout> layouts;
};

constexpr std::string_view kCatalogue = "catalogue";
constexpr std::string_view kInventory = "inventory";
constexpr std::string_view kDemand = "demand";

Status read_layouts(const json::object& variant, const std::string& path, Catalogue& into) {
  TG_TRY(only_known(variant, {"name", "weight_bytes", "layouts"}, kCatalogue, path));
  TG_ASSIGN(const std::string name, json::get_string(variant, "name", path));
  if (!into.variants.insert(name).second) return bad(kCatalogue, fmt::format("variant '{}' is there twice", name), path + ".name");
  TG_ASSIGN(const std::int64_t weight_bytes, number(variant, "weight_bytes", 0, 0, std::int64_t{1} << 50, kCatalogue, path));
  TG_ASSIGN(const auto layouts, objects(variant, "layouts", kCatalogue, path));
  for (const auto& [at, from] : layouts) {
    TG_TRY(only_known(*from, {"kind", "node_gpus", "name", "gpus", "nodes", "throughput", "load_bytes", "warm_up_s"}, kCatalogue, at));
    Layout layout;
    layout.variant = name;
    TG_ASSIGN(layout.kind, json::get_string(*from, "kind", at));
    TG_ASSIGN(layout.name, json::get_string(*from, "name", at));
    TG_ASSIGN(layout.node_gpus, small_number(*from, "node_gpus", 0, 0, kCatalogue, at));
    TG_ASSIGN(layout.gpus, small_number(*from, "gpus", {}, 1, kCatalogue, at));
    TG_ASSIGN(layout.nodes, small_number(*from, "nodes", 1, 1, kCatalogue, at));
    TG_ASSIGN(layout.throughput, number(*from, "throughput", {}, 1, kThroughputMax, kCatalogue, at));
    TG_ASSIGN(layout.load_bytes, number(*from, "load_bytes", weight_bytes, 0, std::int64_t{1} << 50, kCatalogue, at));
    TG_ASSIGN(layout.warm_up_s, number(*from, "warm_up_s", 0, 0, 86'400, kCatalogue, at));
    if (!into.accelerators.contains(layout.kind)) {
      return bad(kCatalogue, fmt::format("'{}.kind': '{}' is not in accelerators", at, layout.kind), at + ".kind");
    }
    into.layouts.push_back(std::move(layout));
  }
  return {};
}

Result<Catalogue> read_catalogue(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  TG_ASSIGN(const json::object* from, root_of(document, kCatalogue));
  TG_TRY(only_known(*from, {"accelerators", "regions", "domain_nodes", "variants"}, kCatalogue, ""));
  Catalogue out;
  TG_ASSIGN(const auto accelerators, objects(*from, "accelerators", kCatalogue, ""));
  for (const auto& [at, entry] : accelerators) {
    TG_TRY(only_known(*entry, {"kind", "price_micros_per_gpu_hour", "load_bytes_per_s"}, kCatalogue, at));
    TG_ASSIGN(const std::string kind, json::get_string(*entry, "kind", at));
    Accelerator accelerator;
    TG_ASSIGN(accelerator.price, number(*entry, "price_micros_per_gpu_hour", {}, 0, kPriceMax, kCatalogue, at));
    TG_ASSIGN(accelerator.load_bytes_per_s, number(*entry, "load_bytes_per_s", 2'000'000'000, 1, std::int64_t{1} << 50, kCatalogue, at));
    if (!out.accelerators.emplace(kind, accelerator).second) return bad(kCatalogue, fmt::format("accelerator '{}' is there twice", kind), at + ".kind");
  }
  TG_ASSIGN(const auto regions, objects(*from, "regions", kCatalogue, ""));
  for (const auto& [at, entry] : regions) {
    TG_TRY(only_known(*entry, {"name", "price_permille"}, kCatalogue, at));
    Region region;
    TG_ASSIGN(region.name, json::get_string(*entry, "name", at));
    TG_ASSIGN(region.price_permille, number(*entry, "price_permille", 1000, 1, kPermilleMax, kCatalogue, at));
    out.regions.push_back(std::move(region));
  }
  if (out.regions.empty()) out.regions.push_back({"default", 1000});
  if (out.regions.size() > kRegionsMax) return bad(kCatalogue, fmt::format("'regions' holds more than {}", kRegionsMax), "regions");
  TG_ASSIGN(out.domain_nodes, number(*from, "domain_nodes", kDomainNodesDefault, 1, kDomainNodesMax, kCatalogue, ""));
  TG_ASSIGN(const auto variants, objects(*from, "variants", kCatalogue, ""));
  for (const auto& [at, entry] : variants) TG_TRY(read_layouts(*entry, at, out));
  return out;
}

std::vector<std::string_view> cells_of(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> cells;
  for (;;) {
    const auto comma = line.find(',');
    cells.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

class InventoryReader {
 public:
  InventoryReader(const Catalogue& catalogue, Problem& problem) : catalogue_(catalogue), problem_(problem) {}

  Status read(std::string_view text) {
    std::size_t line_number = 0;
    while (!text.empty()) {
      const auto end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      ++line_number;
      if (line.empty() || line == "\r") continue;
      const auto cells = cells_of(line);
      if (columns_.empty()) {
        TG_TRY(read_header(cells));
      } else {
        TG_TRY(read_node(cells, fmt::format("line {}", line_number)));
      }
    }
    return {};
  }

 private:
  Status read_header(const std::vector<std::string_view>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (!columns_.emplace(cells[i], i).second) return bad(kInventory, fmt::format("the first line names the column '{}' twice", cells[i]), std::string(cells[i]));
    }
    for (const char* needed : {"gpu_model", "gpu_capacity_num", "node_name"}) {
      if (!columns_.contains(needed)) return bad(kInventory, fmt::format("the first line must name the column '{}'", needed), needed);
    }
    return {};
  }

  std::string cell(const std::vector<std::string_view>& cells, std::string_view column) const {
    const auto found = columns_.find(column);
    return found == columns_.end() ? std::string() : std::string(cells[found->second]);
  }

  static Result<std::int32_t> count_of(const std::string& text, std::string_view column, const std::string& at) {
    std::int32_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size() || value < 0 || value > kNodeGpusMax) {
      return bad(kInventory, fmt::format("{}: {} must be a whole number of 0 to {}, not '{}'", at, column, kNodeGpusMax, text), std::string(column));
    }
    return value;
  }

  Status read_node(const std::vector<std::string_view>& cells, const std::string& at) {
    if (cells.size() < columns_.size()) return bad(kInventory, fmt::format("{} has {} cells, the header {}", at, cells.size(), columns_.size()), at);
    const std::string kind = cell(cells, "gpu_model");
    TG_ASSIGN(const std::int32_t gpus, count_of(cell(cells, "gpu_capacity_num"), "gpu_capacity_num", at));
    if (gpus == 0) return {};  // a node without accelerators
    const auto accelerator = catalogue_.accelerators.find(kind);
    if (accelerator == catalogue_.accelerators.end()) {
      return bad(kInventory, fmt::format("{}: '{}' is not in the catalogue's accelerators; give it a price there", at, kind), "gpu_model");
    }
    std::string region_name = cell(cells, "region");
    const Region* region = &catalogue_.regions.front();
    if (region_name.empty()) {
      region = &catalogue_.regions[dealt_[{kind, gpus}]++ % catalogue_.regions.size()];
    } else {
      const auto found = std::find_if(catalogue_.regions.begin(), catalogue_.regions.end(), [&](const Region& each) { return each.name == region_name; });
      if (found == catalogue_.regions.end()) {
        return bad(kInventory, fmt::format("{}: region '{}' is not in the catalogue's regions", at, region_name), "region");
      }
      region = &*found;
    }
    const std::string tenant = cell(cells, "tenant");
    Pool& pool = pool_of(kind, gpus, *region, tenant, accelerator->second);
    Node node;
    node.name = cell(cells, "node_name");
    node.domain = cell(cells, "failure_domain");
    if (node.domain.empty()) node.domain = fmt::format("{}/{}", pool.name, static_cast<std::int64_t>(pool.nodes.size()) / catalogue_.domain_nodes);
    const std::string free = cell(cells, "gpus_free");
    node.gpus_free = gpus;
    if (!free.empty()) {
      TG_ASSIGN(node.gpus_free, count_of(free, "gpus_free", at));
    }
    if (!names_.insert(node.name).second) return bad(kInventory, fmt::format("{}: node '{}' is there twice", at, node.name), "node_name");
    pool.nodes.push_back(std::move(node));
    return {};
  }

  Pool& pool_of(const std::string& kind, std::int32_t gpus, const Region& region, const std::string& tenant, const Accelerator& accelerator) {
    std::string name = fmt::format("{}/{}/{}", region.name, kind, gpus);
    if (!tenant.empty()) name += "/" + tenant;
    const auto [found, is_new] = pools_.try_emplace(name, problem_.pools.size());
    if (is_new) {
      Pool pool;
      pool.name = std::move(name);
      pool.region = region.name;
      pool.kind = kind;
      pool.gpus_per_node = gpus;
      pool.price_per_gpu_hour = static_cast<Micros>(static_cast<__int128>(accelerator.price) * region.price_permille / 1000);
      pool.load_bytes_per_s = accelerator.load_bytes_per_s;
      pool.tenant = tenant;
      problem_.pools.push_back(std::move(pool));
    }
    return problem_.pools[found->second];
  }

  const Catalogue& catalogue_;
  Problem& problem_;
  std::map<std::string, std::size_t, std::less<>> columns_;
  std::map<std::pair<std::string, std::int32_t>, std::size_t> dealt_;
  std::map<std::string, std::size_t> pools_;
  std::set<std::string> names_;
};

Result<Demand> read_one_demand(const json::object& from, const std::string& at, const Catalogue& catalogue) {
  TG_TRY(only_known(from, {"name", "variant", "tenant", "regions", "dedicated", "throughput", "replicas_min", "domains_min", "n_plus_1",
                           "unserved_micros_per_unit_hour"}, kDemand, at));
  Demand demand;
  TG_ASSIGN(demand.name, json::get_string(from, "name", at));
  TG_ASSIGN(demand.variant, json::get_string(from, "variant", at));
  TG_ASSIGN(const auto tenant, json::find_string(from, "tenant", at));
  TG_ASSIGN(const auto is_dedicated, json::find_bool(from, "dedicated", at));
  TG_ASSIGN(const auto survives, json::find_bool(from, "n_plus_1", at));
  TG_ASSIGN(demand.regions, strings(from, "regions", kDemand, at));
  TG_ASSIGN(demand.throughput, number(from, "throughput", {}, 1, kThroughputMax, kDemand, at));
  TG_ASSIGN(demand.replicas_min, small_number(from, "replicas_min", 1, 1, kDemand, at));
  TG_ASSIGN(demand.domains_min, small_number(from, "domains_min", 1, 1, kDemand, at));
  TG_ASSIGN(demand.unserved_per_unit_hour, number(from, "unserved_micros_per_unit_hour", {}, 0, kPriceMax, kDemand, at));
  demand.tenant = tenant.value_or("");
  demand.is_dedicated = is_dedicated.value_or(false);
  demand.survives_replica_loss = survives.value_or(false);
  if (!catalogue.variants.contains(demand.variant)) {
    return bad(kDemand, fmt::format("'{}.variant': '{}' is not in the catalogue", at, demand.variant), at + ".variant");
  }
  for (const std::string& region : demand.regions) {
    const bool is_known = std::any_of(catalogue.regions.begin(), catalogue.regions.end(), [&](const Region& each) { return each.name == region; });
    if (!is_known) return bad(kDemand, fmt::format("'{}.regions': '{}' is not in the catalogue's regions", at, region), at + ".regions");
  }
  return demand;
}

Status read_demand(std::string_view text, const Catalogue& catalogue, Problem& problem) {
  TG_ASSIGN(const json::value document, json::parse(text));
  TG_ASSIGN(const json::object* from, root_of(document, kDemand));
  TG_TRY(only_known(*from, {"horizon_s", "drain_s", "demands", "quotas", "current"}, kDemand, ""));
  TG_ASSIGN(problem.horizon_s, number(*from, "horizon_s", 3600, 60, kHorizonMax, kDemand, ""));
  TG_ASSIGN(problem.drain_s, number(*from, "drain_s", std::min<std::int64_t>(60, problem.horizon_s), 0, problem.horizon_s, kDemand, ""));
  TG_ASSIGN(const auto demands, objects(*from, "demands", kDemand, ""));
  for (const auto& [at, entry] : demands) {
    TG_ASSIGN(Demand demand, read_one_demand(*entry, at, catalogue));
    problem.demands.push_back(std::move(demand));
  }
  TG_ASSIGN(const auto quotas, objects(*from, "quotas", kDemand, ""));
  for (const auto& [at, entry] : quotas) {
    TG_TRY(only_known(*entry, {"tenant", "kind", "gpus_max"}, kDemand, at));
    Quota quota;
    TG_ASSIGN(quota.tenant, json::get_string(*entry, "tenant", at));
    TG_ASSIGN(const auto kind, json::find_string(*entry, "kind", at));
    TG_ASSIGN(quota.gpus_max, number(*entry, "gpus_max", {}, 0, std::int64_t{1} << 40, kDemand, at));
    quota.kind = kind.value_or("");
    problem.quotas.push_back(std::move(quota));
  }
  TG_ASSIGN(const auto current, objects(*from, "current", kDemand, ""));
  for (const auto& [at, entry] : current) {
    // As in an answer, so that the last plan can be given back as it is.
    TG_TRY(only_known(*entry, {"demand", "pool", "layout", "nodes", "is_kept", "is_held"}, kDemand, at));
    Running running;
    TG_ASSIGN(running.demand, json::get_string(*entry, "demand", at));
    TG_ASSIGN(running.pool, json::get_string(*entry, "pool", at));
    TG_ASSIGN(running.layout, json::get_string(*entry, "layout", at));
    TG_ASSIGN(running.nodes, strings(*entry, "nodes", kDemand, at));
    problem.current.push_back(std::move(running));
  }
  return {};
}

}  // namespace

Result<Problem> read_problem(const PlaceFiles& files) {
  TG_ASSIGN(Catalogue catalogue, read_catalogue(files.catalogue));
  Problem problem;
  TG_TRY(InventoryReader(catalogue, problem).read(files.inventory));
  if (problem.pools.empty()) return bad(kInventory, "no node with an accelerator", "");
  TG_TRY(read_demand(files.demand, catalogue, problem));
  problem.layouts = std::move(catalogue.layouts);
  return problem;
}

}  // namespace tidegate::scheduler::placement
