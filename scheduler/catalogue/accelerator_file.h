#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"
#include "scheduler/core/accelerator.h"

namespace tidegate::scheduler {

/// Adds the kinds of one document {"accelerators": [...]}; docs/fleet.md describes the members. A member that is absent
/// is not known. Fails: invalid_argument/{invalid_json, missing_field, wrong_type, bad_accelerator};
/// already_exists/duplicate_accelerator.
Status read_accelerators(std::string_view text, AcceleratorTable& table);

/// Every *.json of a folder. Fails: not_found/no_accelerators; what read_accelerators says, with the file's path.
Result<AcceleratorTable> load_accelerators(const std::string& folder);

}  // namespace tidegate::scheduler
