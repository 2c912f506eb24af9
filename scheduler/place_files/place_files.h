#pragma once

#include <string_view>

#include "base/core/result.h"
#include "scheduler/core/place/types.h"

/// Placement problems from files: docs/fleet_place.md has the formats.
namespace tidegate::scheduler::placement {

struct PlaceFiles {
  std::string_view inventory;  ///< CSV, a line a node
  std::string_view catalogue;  ///< JSON: accelerators, regions, variants with layouts
  std::string_view demand;     ///< JSON: demands, quotas, what runs now
};

/// The texts of three files as one problem. Names are checked against each other where a slip would be silent (a region,
/// an accelerator or a variant nobody has); numbers are checked by place().
/// Fails: invalid_argument/bad_inventory|bad_catalogue|bad_demand with the field, invalid_json.
Result<Problem> read_problem(const PlaceFiles& files);

}  // namespace tidegate::scheduler::placement
