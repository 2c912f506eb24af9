#pragma once

#include <chrono>
#include <memory>
#include <pqxx/connection>
#include <string>

namespace tidegate::pg {

struct ConnectOptions {
  std::string connection;
  std::string application;
  std::string role;  ///< taken by the session, with its rights alone; empty: the user's own
  std::chrono::milliseconds connect_timeout{2'000};
  std::chrono::milliseconds statement_timeout{0};            ///< 0: none
  std::chrono::milliseconds idle_in_transaction_timeout{0};  ///< 0: none
  std::chrono::milliseconds lock_timeout{0};                 ///< 0: none
};

/// Connects, blocking; throws what libpqxx throws. The connection never reconnects behind our back: a statement of a
/// broken transaction would then run, and commit, on its own. A peer that falls silent is noticed within seconds.
std::unique_ptr<pqxx::connection> connect(const ConnectOptions& options);

}  // namespace tidegate::pg
