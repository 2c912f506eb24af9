#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"
#include "scheduler/core/catalogue.h"

namespace tidegate::scheduler {

/// One model of the catalogue as JSON; the members are those of CatalogueModel. Unknown members are refused: a misspelt
/// one would silently change what is placed. Fails: invalid_argument/{invalid_json, missing_field, wrong_type, bad_catalogue}.
Result<CatalogueModel> parse_catalogue_model(std::string_view text);

/// Every *.json of a folder, by name. Fails: not_found/no_catalogue; what parse_catalogue_model says, with the file's path.
Result<Catalogue> load_catalogue(const std::string& folder);

}  // namespace tidegate::scheduler
