#pragma once

#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/clock.h"

/// The months of usage_log. Everything runs in the caller's transaction.
namespace tidegate::billing {

/// The partitions of `now` and the `ahead` months after it. Answers how many were made.
int make_usage_partitions(pqxx::work& tx, Wall now, int ahead);
/// From now on, ids older than the month `months` before that of `now` are refused. Never moves back.
void expire_usage(pqxx::work& tx, Wall now, int months);
/// Partitions that lie wholly before what is kept. Ask in a transaction after the one that expired them.
std::vector<std::string> expired_usage_partitions(pqxx::work& tx);
/// Drops one of them; its sums stay. Answers how many events it held.
std::int64_t drop_usage_partition(pqxx::work& tx, const std::string& name);

}  // namespace tidegate::billing
