#pragma once

#include <string>

#include "gateway/ports.h"

namespace tidegate::gateway {

/// DeepSeek's answer to GET /user/balance: {"is_available","balance_infos":[{"currency","total_balance",
/// "granted_balance","topped_up_balance"}]}. Amounts are exact decimal strings with two decimals at least.
std::string deepseek_balance(const Balances::Balance& balance);

}  // namespace tidegate::gateway
