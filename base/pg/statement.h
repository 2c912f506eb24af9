#pragma once

#include <pqxx/connection>
#include <pqxx/transaction>
#include <string>
#include <utility>

namespace tidegate::pg {

/// A statement that is parsed and planned once a connection. `name` is unique in the program; both live for
/// ever.
struct Statement {
  const char* name;
  const char* sql;
};

/// Prepares on first use; libpqxx takes the same definition again as nothing to do.
template <typename... Args>
pqxx::result run(pqxx::work& tx, const Statement& statement, Args&&... args) {
  tx.conn().prepare(statement.name, statement.sql);
  return tx.exec_prepared(statement.name, std::forward<Args>(args)...);
}

}  // namespace tidegate::pg
