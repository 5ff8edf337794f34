"""Everything that Keepfit keeps in Redis. The only package that imports redis.

    store = open_store(settings.broker_url)
    store.jobs.create(jobdir)            # after the directory is durable
    store.events.read(job_id, after="0", block_ms=5000)
    store.leases.claim(owner, hint)      # workers only

All writes are Lua scripts that run on the server's clock and write the state and its event
together. Every failure to reach the server is raised as ``StoreUnavailable``.
"""
