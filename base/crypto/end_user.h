#pragma once

#include <string_view>

#include "base/core/ids.h"

namespace tidegate {

/// The name under which an end user of a tenant is known: 128 bits of HMAC-SHA256(pepper, tenant | user). The
/// text itself, often an e-mail address, is stored nowhere; two tenants' users of the same name are two.
/// Never nil in practice (2^-128); `user` is what clients send as `user`, any bytes.
Uuid end_user_id(std::string_view pepper, TenantId tenant, std::string_view user);

}  // namespace tidegate
