// A web client small enough to read at a glance: sign in, rooms, talk, pictures, typing and receipts.
import * as sdk from "matrix-js-sdk";

const $ = (selector) => document.querySelector(selector);
let client, open;

$("#login").onclick = async () => {
    try {
        const baseUrl = $("#homeserver").value;
        const account = await sdk.createClient({ baseUrl }).loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: $("#user").value },
            password: $("#password").value,
        });
        client = sdk.createClient({ baseUrl, userId: account.user_id, accessToken: account.access_token, deviceId: account.device_id });
        for (const event of ["Room.timeline", "Room.localEchoUpdated", "Room.receipt", "RoomMember.typing", "Room.myMembership", "Room.name", "RoomState.events", "Room"]) client.on(event, draw);
        await client.startClient({ lazyLoadMembers: true });
        await new Promise((ready) => client.on("sync", (state) => state === "PREPARED" && ready()));
        $("#signin").style.display = "none";
        $("#rooms").style.display = "grid";
        draw();
    } catch (error) {
        $("#error").textContent = error.message;
    }
};

$("#create").onclick = async () => {
    await client.createRoom({ name: $("#new-room").value, preset: "private_chat", invite: [$("#new-guest").value] });
};

let typing = false;
$("#message").oninput = async () => {
    const now = $("#message").value !== "";
    if (now !== typing) await client.sendTyping(open, (typing = now), 20_000);
};

$("#message").onkeydown = async ({ key }) => {
    if (key !== "Enter") return;
    const body = $("#message").value;
    $("#message").value = "";
    typing = false;
    await client.sendTyping(open, false, 0);
    await client.sendTextMessage(open, body);
};

$("#image").onchange = async () => {
    const file = $("#image").files[0];
    const { content_uri: url } = await client.uploadContent(file, { type: file.type, name: file.name });
    await client.sendImageMessage(open, url, { mimetype: file.type, size: file.size }, file.name);
};

const pictures = new Map();
/** The thumbnail needs the access token, so it is fetched and shown as a blob. */
function picture(mxc) {
    if (!pictures.has(mxc)) {
        pictures.set(mxc, "");
        const url = client.mxcUrlToHttp(mxc, 320, 240, "scale", false, true, true);
        fetch(url, { headers: { authorization: `Bearer ${client.getAccessToken()}` } })
            .then((reply) => (reply.ok ? reply.blob() : Promise.reject(new Error(`thumbnail: ${reply.status}`))))
            .then((blob) => pictures.set(mxc, URL.createObjectURL(blob)))
            .then(draw);
    }
    return pictures.get(mxc);
}

function draw() {
    const rooms = client.getRooms();
    $("#list").replaceChildren(
        ...rooms.map((room) => {
            const invited = room.getMyMembership() === "invite";
            const item = document.createElement(invited ? "div" : "button");
            item.className = invited ? "invitation" : "room";
            item.textContent = room.name + " ";
            if (invited) {
                const accept = document.createElement("button");
                accept.textContent = "Accept";
                accept.onclick = () => client.joinRoom(room.roomId);
                item.append(accept);
            } else {
                item.onclick = () => ((open = room.roomId), draw());
            }
            return item;
        }),
    );
    const room = open && client.getRoom(open);
    if (!room) return;
    $("#title").textContent = room.name;
    $("#members").textContent = `${room.getJoinedMemberCount()} here`;
    const me = client.getUserId();
    $("#typing").textContent = room.getJoinedMembers().filter((member) => member.typing && member.userId !== me).map((member) => `${member.name} is typing…`).join(" ");
    const events = room.getLiveTimeline().getEvents().filter((event) => event.getType() === "m.room.message");
    $("#timeline").replaceChildren(...events.map((event) => line(room, event, me)));
    $("#timeline").scrollTop = 1e9;
    const last = room.getLiveTimeline().getEvents().at(-1);
    if (last && last.getSender() !== me && last.getId().startsWith("$") && room.getEventReadUpTo(me) !== last.getId()) client.sendReadReceipt(last);
}

function line(room, event, me) {
    const item = document.createElement("div");
    item.className = event.getSender() === me ? "event mine" : "event";
    const part = (tag, name, text) => {
        const made = document.createElement(tag);
        made.className = name;
        if (text !== undefined) made.textContent = text;
        item.append(made);
        return made;
    };
    part("div", "who", event.sender?.name ?? event.getSender());
    const content = event.getContent();
    if (content.msgtype === "m.image") part("img", "picture").src = picture(content.url);
    else part("div", "text", content.body);
    const readers = room.getReceiptsForEvent(event).map((receipt) => room.getMember(receipt.userId)?.name ?? receipt.userId);
    const others = readers.filter((name) => name !== room.getMember(me)?.name);
    if (others.length) part("div", "read", `read by ${others.join(", ")}`);
    return item;
}
