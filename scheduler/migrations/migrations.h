#pragma once

#include <vector>

#include "base/pg/migrate.h"

namespace tidegate::scheduler {

/// The .sql files of this folder, in order, as they were when the program was built: a binary and its schema cannot be
/// mixed up.
std::vector<pg::Migration> migrations();

}  // namespace tidegate::scheduler
