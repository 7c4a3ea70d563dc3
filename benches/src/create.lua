-- Every request makes another organization. One thread, so one counter is enough.
local prefix, count = "", 0

function init(args)
  prefix = args[1]
end

function request()
  count = count + 1
  return wrk.format("POST", nil, nil, '{"name":"' .. prefix .. "-" .. count .. '"}')
end
